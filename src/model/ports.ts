/** A port as it is chosen by its name or number. */
interface NamedPort {
  /** Of the Service. */
  readonly port: number;
  /** Empty: it has none. */
  readonly name: string;
  /** Of its endpoints, where clients see them. */
  readonly targetPorts?: readonly number[];
}

/** Where a Service has several ports and none is named. */
export const USUAL_PORT = 80;

const NUMBER = /^[1-9]\d{0,4}$/;

/**
 * The port that is called so. A name may look like the number of another port: what is a number means that one first.
 * @param wish name or number; empty is none.
 */
export function portOf<P extends NamedPort>(ports: readonly P[], wish: string): P | undefined {
  if (wish === '') return undefined;
  const number = NUMBER.test(wish) ? Number(wish) : 0;
  return (
    ports.find(({ port }) => port === number) ??
    ports.find(({ targetPorts }) => targetPorts?.includes(number)) ??
    ports.find(({ name }) => name === wish)
  );
}

/** The port that is meant where none is named: the usual one, else the only one. */
export function usualPortOf<P extends NamedPort>(ports: readonly P[]): P | undefined {
  return ports.find(({ port }) => port === USUAL_PORT) ?? (ports.length === 1 ? ports[0] : undefined);
}
