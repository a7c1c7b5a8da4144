import type { RouteCondition, RouteStatus } from './routing.ts';

/** What a route is to one of its parents, as commands and the admin side show it: plain JSON. */
export interface StatusView {
  /** `HTTPRoute shop/orders` */
  readonly object: string;
  /** Of the object; 0: unknown. */
  readonly generation: number;
  /** `Service shop/orders`, `Service shop/orders:80`, `Service shop/orders section web` */
  readonly parent: string;
  readonly conditions: readonly RouteCondition[];
}

/** One for each route and parent, in order. */
export function statusViews(statuses: readonly RouteStatus[]): readonly StatusView[] {
  return statuses.flatMap(({ object, generation, parents }) =>
    parents.map(({ namespace, name, port, sectionName, conditions }) => {
      const ports = `${port === 0 ? '' : `:${port}`}${sectionName === '' ? '' : ` section ${sectionName}`}`;
      return { object, generation, parent: `Service ${namespace}/${name}${ports}`, conditions };
    }),
  );
}

/** One line: `HTTPRoute shop/orders: Service shop/orders: Accepted, ResolvedRefs false (BackendNotFound): …`. */
export function statusText({ object, parent, conditions }: StatusView): string {
  const texts = conditions.map(conditionText);
  return `${object}: ${parent}: ${texts.length === 0 ? 'no condition' : texts.join(', ')}`;
}

/** Nothing is amiss: the route is accepted, and all that it names is there. */
export function isFine({ conditions }: StatusView): boolean {
  return conditions.every(({ type, status }) => status === (type !== 'PartiallyInvalid'));
}

function conditionText({ type, status, reason, message }: RouteCondition): string {
  const fine = status === (type !== 'PartiallyInvalid');
  return `${type} ${status}${fine ? '' : ` (${reason}: ${message})`}`;
}
