import { isIPv4, isIPv6 } from 'node:net';
import { parseCidr } from '../../lib/cidr.ts';
import { formatDuration, parseDuration } from '../../lib/duration.ts';
import { formatSize, parseSize } from '../../lib/size.ts';
import type { Cidr, ListenAddress } from '../../model/settings.ts';

/** How the value of a setting is written, and which values are allowed. */
export interface Kind<out T> {
  /** Stands for the value in help texts: `SIZE`. */
  readonly placeholder: string;
  /** What is allowed, as it follows "Expected". */
  readonly allowed: string;
  /** Wrapped, because `undefined` is a value too; bare `undefined` when the text is not allowed. */
  readonly parse: (text: string) => { readonly value: T } | undefined;
  /** May be given more than once, and takes several items by comma. */
  readonly repeatable?: true;
  /** What the flag alone stands for; without it a flag needs a value. */
  readonly alone?: string;
  /** What an error message may show of a text that is not allowed; without it, all of it. */
  readonly shown?: (text: string) => string;
}

interface Range {
  readonly min: number;
  readonly max: number;
}

export function size({ min, max }: Range): Kind<number> {
  const allowed = `a size from ${formatSize(min)} to ${formatSize(max)}`;
  return { placeholder: 'SIZE', allowed, parse: (text) => within(parseSize(text), { min, max }) };
}

/** With `off`, `0s` stands for no end: infinite, so that no reader needs a special case. */
export function duration({ min, max, off = false }: { min: string; max: string; off?: boolean }): Kind<number> {
  const range = { min: parseDuration(min)!, max: parseDuration(max)! };
  return {
    placeholder: 'DURATION',
    allowed: `a duration from ${formatDuration(range.min)} to ${formatDuration(range.max)}${off ? ', or 0s for off' : ''}`,
    parse: (text) => {
      const durationMs = parseDuration(text);
      return off && durationMs === 0 ? { value: Number.POSITIVE_INFINITY } : within(durationMs, range);
    },
  };
}

export function count({ min, max }: Range): Kind<number> {
  const allowed = `a whole number from ${min} to ${max}`;
  return {
    placeholder: 'NUMBER',
    allowed,
    parse: (text) => within(/^\d{1,15}$/.test(text) ? Number(text) : undefined, { min, max }),
  };
}

function within(value: number | undefined, { min, max }: Range): { value: number } | undefined {
  return value === undefined || value < min || value > max ? undefined : { value };
}

export function choice<const T extends string>(choices: readonly T[]): Kind<T> {
  return {
    placeholder: choices.length > 3 ? 'NAME' : choices.join('|'),
    allowed: choices.join(', '),
    parse: (text) => {
      const value = choices.find((name) => name === text);
      return value === undefined ? undefined : { value };
    },
  };
}

export function list<T>(item: Kind<T>): Kind<readonly T[]> {
  return {
    placeholder: `${item.placeholder},...`,
    allowed: `${item.allowed}; several by comma`,
    repeatable: true,
    ...(item.shown === undefined ? {} : { shown: item.shown }),
    parse: (text) => {
      const items = text === '' ? [] : text.split(',').map((part) => item.parse(part.trim()));
      return items.includes(undefined) ? undefined : { value: items.map((parsed) => parsed!.value) };
    },
  };
}

export const onOff: Kind<boolean> = {
  placeholder: 'on|off',
  allowed: 'on or off',
  alone: 'on',
  parse: (text) => (text === 'on' || text === 'off' ? { value: text === 'on' } : undefined),
};

/** `off`, `errors`, `all`, or one in so many. */
export const logShare: Kind<'off' | 'errors' | number> = {
  placeholder: 'off|errors|all|1/N',
  allowed: 'off, errors, all, or 1/N with N up to 1000000',
  parse: (text) => {
    if (text === 'off' || text === 'errors') return { value: text };
    if (text === 'all') return { value: 1 };
    const [, digits] = /^1\/([1-9]\d{0,6})$/.exec(text) ?? [];
    return digits === undefined ? undefined : within(Number(digits), { min: 1, max: 1_000_000 });
  },
};

/** A share, from 0 to 1. @param min in percent, like `max`. */
export function percent({ min, max }: Range): Kind<number> {
  return {
    placeholder: 'PERCENT',
    allowed: `a share from ${min}% to ${max}% with at most three decimals`,
    parse: (text) => {
      const [, digits] = /^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(text) ?? [];
      const value = within(digits === undefined ? undefined : Number(digits), { min, max });
      return value && { value: value.value / 100 };
    },
  };
}

/** Without credentials and query: it stands in logs. */
export const url: Kind<string | undefined> = optional({
  placeholder: 'URL',
  allowed: 'an http:// or https:// URL without user name, query and fragment',
  parse: (text) => {
    const parsed = URL.parse(text);
    const plain = parsed !== null && `${parsed.username}${parsed.password}${parsed.search}${parsed.hash}` === '';
    return plain && /^https?:$/.test(parsed.protocol) ? { value: parsed.href } : undefined;
  },
});

/** As `nats://host:4222` or `tls://host:4222`. Without credentials: it stands in logs, and so does a refused one. */
export const natsUrl: Kind<string> = {
  placeholder: 'URL',
  allowed:
    'a NATS server as nats://HOST:PORT, tls://HOST:PORT or HOST:PORT, without user and password (a file holds them: --nats-user)',
  shown: (text) => text.replace(/[^,/]*@/g, '...@'),
  parse: (text) => {
    const match =
      /^(?:(?<scheme>nats|tls):\/\/)?(?:\[(?<v6>[^\]]*)\]|(?<host>[\w.-]{1,253}))(?::(?<port>\d{1,5}))?\/?$/.exec(text);
    const { scheme = 'nats', v6, host, port = '4222' } = match?.groups ?? {};
    if (Number(port) < 1 || Number(port) > 65535) return undefined;
    if (host !== undefined) return { value: `${scheme}://${host}:${Number(port)}` };
    return v6 !== undefined && isIPv6(v6) && !v6.includes('%')
      ? { value: `${scheme}://[${v6}]:${Number(port)}` }
      : undefined;
  },
};

/** Empty is the default "none"; a user who gives nothing is told so before any kind is asked. */
export function optional<T>(kind: Kind<T>): Kind<T | undefined> {
  return { ...kind, parse: (text) => (text === '' ? { value: undefined } : kind.parse(text)) };
}

export const file: Kind<string | undefined> = optional({
  placeholder: 'FILE',
  allowed: 'the path of a file',
  parse: (text) => ({ value: text }),
});

export const folder: Kind<string> = {
  placeholder: 'DIR',
  allowed: 'the path of a folder',
  parse: (text) => (text === '' ? undefined : { value: text }),
};

/** Printable and without blanks, because it stands in log lines and metric labels. */
export const name: Kind<string> = {
  placeholder: 'NAME',
  allowed: 'up to 253 visible ASCII characters',
  parse: (text) => (/^[\x21-\x7e]{1,253}$/.test(text) ? { value: text } : undefined),
};

/** RFC 1123 labels; a trailing dot and capitals mean nothing in DNS and are dropped. */
export const domain: Kind<string> = {
  placeholder: 'DOMAIN',
  allowed: 'a DNS name such as cluster.local',
  parse: (text) => {
    const value = text.toLowerCase().replace(/\.$/, '');
    const valid = value.length <= 253 && /^(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/.test(value);
    return valid ? { value } : undefined;
  },
};

/** A port alone keeps the default host of the setting; port 0 lets the system choose one. */
export function listenAddress(defaultHost: string | undefined): Kind<ListenAddress | undefined> {
  return {
    placeholder: 'HOST:PORT',
    allowed: 'HOST:PORT with an IP address ([::]:4140, 127.0.0.1:4140), a port alone, or off',
    parse: (text) => {
      if (text === 'off') return { value: undefined };
      const match = /^(?:(?:\[(?<v6>[^\]]*)\]|(?<v4>[^:[\]]*)):)?(?<port>\d{1,5})$/.exec(text);
      const { v6, v4, port } = match?.groups ?? {};
      if (port === undefined || Number(port) > 65535) return undefined;
      if (v6 !== undefined) return isIPv6(v6) ? { value: { host: v6, port: Number(port) } } : undefined;
      if (v4) return isIPv4(v4) ? { value: { host: v4, port: Number(port) } } : undefined;
      return { value: { host: defaultHost, port: Number(port) } };
    },
  };
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. */
export const cidr: Kind<Cidr> = {
  placeholder: 'CIDR',
  allowed: 'an address block such as 10.0.0.0/8, fd00::/8 or 10.1.2.3',
  parse: (text) => {
    const value = parseCidr(text);
    return value && { value };
  },
};
