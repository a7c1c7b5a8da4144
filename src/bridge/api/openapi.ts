import { openApiPaths } from '../../lib/openapi.ts';
import { PROBLEMS } from '../problem.ts';
import type { Route, Schema } from './route.ts';

const PROBLEM_TYPE = 'application/problem+json';

/** The OpenAPI 3.1 description of these routes. Loaded by those workers only that are asked for it. */
export function openApi(routes: readonly Route[]): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Heddle bridge',
      version: 'v1',
      description: 'Messages by HTTP: publish, request, subscribe, streams, consumers and buckets of NATS',
    },
    paths: openApiPaths(routes, operation),
    components: { schemas: { Problem: PROBLEM } },
  };
}

function operation({ operation: operationId, summary, parameters, headers, takes, answers }: Route): object {
  const body = { required: true, content: Object.fromEntries(takes.map((type) => [type, {}])) };
  return {
    operationId,
    summary,
    parameters: [
      ...Object.entries(parameters.path).map(([name, schema]) => parameter(name, 'path', schema)),
      ...Object.entries(parameters.query).map(([name, schema]) => parameter(name, 'query', schema)),
      ...Object.entries(headers).map(([name, description]) =>
        parameter(name, 'header', { type: 'string', description }),
      ),
    ],
    ...(takes.length === 0 ? {} : { requestBody: body }),
    responses: {
      ...responses(answers),
      default: {
        description: 'Refused or failed, with the reason and with what became of the message',
        content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

function parameter(name: string, place: 'path' | 'query' | 'header', { description, ...schema }: Schema): object {
  return { name, in: place, ...(place === 'path' ? { required: true } : {}), description, schema };
}

/** Answers of one status are one response, with all their types. */
function responses(answers: Route['answers']): object {
  const byStatus = Map.groupBy(answers, ({ status }) => status);
  return Object.fromEntries(
    Array.from(byStatus, ([status, same]) => {
      const types = same.flatMap(({ type, schema }) =>
        type === undefined ? [] : [[type, schema === undefined ? {} : { schema }]],
      );
      const content = types.length === 0 ? {} : { content: Object.fromEntries(types) as object };
      return [String(status), { description: same.map(({ description }) => description).join('; '), ...content }];
    }),
  );
}

const PROBLEM = {
  type: 'object',
  description: 'Problem details (RFC 9457)',
  properties: {
    type: { type: 'string', description: 'about:blank' },
    title: { type: 'string', description: 'What the code means' },
    status: { type: 'integer', description: 'As in the status line' },
    detail: { type: 'string', description: 'What was expected and what was got' },
    code: { type: 'string', enum: Object.keys(PROBLEMS), description: 'For programs' },
    outcome: { type: 'string', enum: ['not-sent', 'unknown', 'stored'], description: 'What became of the message' },
    retryable: { type: 'boolean', description: 'The same call may succeed later' },
  },
  required: ['type', 'title', 'status', 'detail', 'code', 'outcome', 'retryable'],
} as const;
