import type { LaneManifests } from './lanes.ts';

/** What a rule does to a head of a lane must not be what a corpus looks at. */
const SET = 'x-lane';

/**
 * A lane with everything that rules can do to a message and leave its meaning: all filters of a route, sessions, a mirror,
 * a throttle and the explaining header. Its mirror is a Service of its own, `<name>-mirror`.
 */
export function ruledLane(name: string, address: string, mirrorAddress: string): LaneManifests {
  const mirror = `${name}-mirror`;
  const annotations = {
    'heddle.dev/fault': 'throttle=64MiB/s:100%',
    'heddle.dev/fault-on-header': 'true',
    'heddle.dev/explain-on-header': 'true',
  };
  const modifier = {
    set: [{ name: SET, value: 'ours' }],
    add: [{ name: 'x-lane-more', value: 'one' }],
    remove: ['x-lane-gone'],
  };
  const route = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace: 'test' },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name, port: 80 }],
      rules: [
        { matches: [{ headers: [{ name: 'x-never', value: 'there' }] }], backendRefs: [] },
        {
          matches: [{ path: { type: 'PathPrefix', value: '/' } }],
          sessionPersistence: { type: 'Header', sessionName: 'x-lane-session', absoluteTimeout: '1h' },
          filters: [
            { type: 'RequestHeaderModifier', requestHeaderModifier: modifier },
            { type: 'ResponseHeaderModifier', responseHeaderModifier: modifier },
            { type: 'RequestMirror', requestMirror: { backendRef: { name: mirror, port: 80 } } },
            {
              type: 'URLRewrite',
              urlRewrite: {
                hostname: `${name}.test`,
                path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' },
              },
            },
            { type: 'CORS', cors: { allowOrigins: ['*'], allowCredentials: true, allowMethods: ['GET'] } },
          ],
          backendRefs: [{ name, port: 80 }],
        },
      ],
    },
  };
  return {
    services: [
      { name, endpoints: [address], annotations },
      { name: mirror, endpoints: [mirrorAddress], enabled: false },
    ],
    objects: [route],
  };
}
