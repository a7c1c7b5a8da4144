import { formatDuration } from '../../lib/duration.ts';
import { harmless } from '../../lib/shown.ts';
import type { EndpointView, ExplainAnswer } from '../../model/admin.ts';
import type { Explanation, TermView } from '../../model/explanation.ts';
import { isFine, statusText } from '../../model/route-status.ts';
import { markOf, type Verdict } from '../mark.ts';
import { type Screen, styled } from '../screen.ts';

const LABEL_COLUMNS = 10;
/** So many items of a list are told; JSON has the rest. */
const ITEMS_MAX = 20;

const BY: Readonly<Record<NonNullable<Explanation['service']>['by'], string>> = {
  'listener': 'named by the port that it came in on',
  'authority': 'named by its authority',
  'bare-name': "named by its authority, a bare name in the client's namespace",
  'path': 'named by its path, /_svc/…',
  'header': 'named by x-heddle-service',
};

/** One line of the story; without a label it goes on with what stands above. */
interface Line {
  readonly label?: string;
  readonly mark?: Verdict;
  readonly text: string;
}

/** A decision for a person, in the order in which it was made: lines, each with a line feed. */
export function story(answer: ExplainAnswer, screen: Screen): string {
  const { explanation } = answer;
  const lines = [
    ...requestLines(explanation),
    ...serviceLines(explanation),
    ...faultLines(explanation),
    ...rulesLines(explanation),
    ...ruleLines(explanation),
    ...targetLines(explanation),
    ...termLines('Terms', explanation.terms),
    ...rateLines(explanation),
    ...endpointLines(answer),
    ...termLines('Policy', explanation.backend?.policy ?? []),
    ...loadLines(answer),
    ...labelled('Sent', explanation.sent),
    ...replyLines(explanation),
    ...settingLines(answer),
    ...labelled('Problems', cut(answer.problems.map(({ text }) => text))),
    ...statusLines(answer),
    outcomeLine(answer),
  ];
  return lines.map((line) => drawn(line, screen)).join('');
}

function drawn({ label = '', mark, text }: Line, screen: Screen): string {
  const head = styled(label.padEnd(LABEL_COLUMNS), label === '' ? undefined : 'bold', screen);
  return `${`${head}${mark === undefined ? '' : `${markOf(mark, screen)} `}${harmless(text)}`.trimEnd()}\n`;
}

function labelled(label: string, texts: readonly string[]): readonly Line[] {
  return under(
    label,
    texts.map((text) => ({ text })),
  );
}

function under(label: string, [first, ...others]: readonly Line[]): readonly Line[] {
  return first === undefined ? [] : [{ ...first, label }, ...others];
}

function cut(texts: readonly string[]): readonly string[] {
  const more = texts.length - ITEMS_MAX;
  return more > 0 ? [...texts.slice(0, ITEMS_MAX), `and ${more} more: -o json has them`] : texts;
}

function requestLines({ method, url, client, generation }: Explanation): readonly Line[] {
  const { address, namespace, serviceAccount, pod } = client;
  const account = `service account ${namespace}/${serviceAccount}`;
  const known = pod === '' ? `${account}, of which no pod of this node is known` : `pod ${pod}, ${account}`;
  return [
    { label: 'Request', text: `${method} ${url}` },
    {
      label: 'From',
      text: namespace === '' ? `${address}, no pod of this node that is known` : `${address}, ${known}`,
    },
    ...(generation === 0 ? [] : [{ label: 'Plan', text: `generation ${generation}` }]),
  ];
}

function serviceLines({ service }: Explanation): readonly Line[] {
  if (service === null) return [];
  const { by, namespace, name, enabled, port, portName } = service;
  const name2 = portName === '' ? '' : ` (${portName})`;
  const text = port === 0 ? '' : `, port ${port}${name2}`;
  return [{ label: 'Service', text: `${namespace}/${name}${text}, ${BY[by]}${enabled ? '' : '; it is not enabled'}` }];
}

function faultLines({ faults }: Explanation): readonly Line[] {
  if (faults === null) return [];
  const { by, wished, abortStatus, delayMs, throttleBytesPerS, unheeded } = faults;
  const met = [
    ...(abortStatus > 0 ? [`it is aborted with ${abortStatus}`] : []),
    ...(delayMs > 0 ? [`it waits ${Math.round(delayMs)} ms`] : []),
    ...(throttleBytesPerS > 0 ? [`its reply has ${throttleBytesPerS} bytes per second`] : []),
  ];
  const who = by === 'client' ? 'by x-heddle-fault' : 'by the wish of the owner';
  return labelled('Faults', [
    ...wished.map(({ text, share }) => `${percent(share)} ${text}`),
    ...(unheeded === '' ? [] : [`x-heddle-fault is not heeded: ${unheeded}`]),
    met.length === 0 ? 'none for this request' : `${met.join(', ')}, ${who}`,
  ]);
}

function rulesLines({ service, rules, outcome }: Explanation): readonly Line[] {
  if (service === null || service.port === 0 || !service.enabled) return [];
  if (rules === null)
    return outcome.does === 'answer'
      ? []
      : [{ label: 'Rules', text: 'none: all goes to the endpoints of the Service' }];
  const { consumers, protocol, objects, entries, fits, tried, triedLeft, unmatched } = rules;
  const clients =
    consumers === '' ? 'for all clients that have none of their own' : `for clients of namespace ${consumers}`;
  const matches = entries === 1 ? '1 match' : `${entries} matches`;
  const lines: Line[] = [{ label: 'Rules', text: `of ${objects.join(', ')}, ${clients}: ${matches}` }];
  for (const { object, field, match, part, expected, got } of tried.slice(0, ITEMS_MAX)) {
    const whose = objects.length > 1 ? `${object} ` : '';
    lines.push({ mark: 'wrong', text: `${whose}${field} (${match}): ${part} must be ${expected}, and is ${got}` });
  }
  const left = triedLeft + Math.max(0, tried.length - ITEMS_MAX);
  if (left > 0) lines.push({ text: `and ${left} more that it does not fit: -o json has up to 100` });
  if (fits < 0 && protocol === 'http')
    lines.push({
      text: unmatched === 'refuse' ? 'It fits none' : 'It fits none: it goes to the endpoints of the Service',
    });
  return lines;
}

function ruleLines({ rule }: Explanation): readonly Line[] {
  if (rule === null) return [];
  const { object, field, name, file, line, matchField, match, cors, redirect } = rule;
  const place = file === null ? '' : `, ${file}:${line}`;
  return [
    { mark: 'ok', text: `${matchField} (${match})` },
    { label: 'Rule', text: `${object} ${field}${name === '' ? '' : ` "${name}"`}${place}` },
    ...(cors.length === 0 ? [] : [{ label: 'CORS', text: `for ${cors.join(', ')}` }]),
    ...(redirect === '' ? [] : [{ label: 'Redirect', text: redirect }]),
  ];
}

function targetLines({ targets, roll, session, mirrors }: Explanation): readonly Line[] {
  const dice = roll === null ? '' : `: the dice said ${roll.toFixed(4)}`;
  const known = session?.known === true ? ': its session is there' : '';
  const lines = targets.map(({ name, share, chosen, reason }): Line => {
    const takes = chosen ? ` takes it${dice || known}` : '';
    const nowhere = reason === '' ? '' : `${chosen ? ', and' : ''} leads nowhere: ${reason}`;
    const text = `${percent(share)} ${name}${takes}${nowhere}`;
    return chosen ? { mark: reason === '' ? 'ok' : 'wrong', text } : { text };
  });
  const token = session?.known === true ? 'the request brings a token that holds' : 'it begins with this request';
  const mirrored = mirrors.map(({ name, share, copied, reason }) => {
    const what = reason === '' ? (copied ? 'gets a copy' : 'gets none of this request') : `leads nowhere: ${reason}`;
    return `${percent(share)} ${name} ${what}`;
  });
  return [
    ...under('Target', lines),
    ...(session === null ? [] : [{ label: 'Session', text: `by ${session.by} ${session.name}: ${token}` }]),
    ...labelled('Mirrors', mirrored),
  ];
}

function endpointLines({
  explanation: { backend, generation },
  endpoints,
  endpointsLeft,
}: ExplainAnswer): readonly Line[] {
  if (backend === null) return [];
  const { id, subject, hash, endpoints: used, preferred } = backend;
  if (subject !== '') return [{ label: 'Backend', text: `${id}, served by messages on ${subject}` }];
  const tiers = preferred < used ? `, ${preferred} of them first` : '';
  const choice = hash === null ? '' : `; its hash, on ${hash.on}, means ${hash.endpoint || 'one of them'}`;
  const lines: Line[] = [{ label: 'Backend', text: `${id}, with ${count(used, 'endpoint')}${tiers}${choice}` }];
  for (const endpoint of endpoints.slice(0, ITEMS_MAX)) lines.push(endpointLine(endpoint, generation > 0));
  const left = endpointsLeft + Math.max(0, endpoints.length - ITEMS_MAX);
  if (left > 0) lines.push({ text: `and ${left} more: heddle endpoints shows them` });
  return lines;
}

function endpointLine(
  { address, state, reason, tier, panic, active, latencyMs, failures }: EndpointView,
  isLive: boolean,
): Line {
  if (state === 'unused') return { mark: 'warning', text: `${address} gets nothing: ${reason}` };
  if (state === 'out')
    return { mark: panic ? 'warning' : 'wrong', text: `${address}, tier ${tier}, is out: ${reason}` };
  const latency = latencyMs === 0 ? '' : `, ${latencyMs.toFixed(1)} ms`;
  const live = isLive ? `, ${active} under way${latency}, ${count(failures, 'failure')}` : '';
  return { mark: 'ok', text: `${address}, tier ${tier}${live}${reason === '' ? '' : `; ${reason}`}` };
}

/** Those of one owner together: what was wished stands before what is so by itself. */
function termLines(label: string, terms: readonly TermView[]): readonly Line[] {
  const owned = [...Map.groupBy(terms, ({ by }) => by)].toSorted(([one], [other]) => rankOf(one) - rankOf(other));
  return labelled(
    label,
    owned.map(([by, own]) => `by ${by}: ${own.map(({ name, value }) => `${name} ${value}`).join(', ')}`),
  );
}

function rankOf(by: string): number {
  return 1 + ['settings', 'default'].indexOf(by);
}

function rateLines({ rateLimit }: Explanation): readonly Line[] {
  if (rateLimit === null) return [];
  const { policy, by, left, nextMs, shared } = rateLimit;
  const full = left === null ? '' : left > 0 ? `; ${left} left now` : `; none left: 429 for ${waitText(nextMs)} more`;
  const others = shared ? ', together with others: there are too many keys' : '';
  const mark: Verdict | undefined = left === null ? undefined : left > 0 ? 'ok' : 'wrong';
  const text = `${policy}, by ${by}${full}${others}`;
  return [{ label: 'Rate', ...(mark === undefined ? {} : { mark }), text }];
}

function loadLines({ load }: ExplainAnswer): readonly Line[] {
  if (load === null) return [];
  const { inFlight, maxInFlight, waiting, maxWaiting, breaker, breakerMs, retriesLeft } = load;
  const isOpen = breaker === 'open' || breaker === 'half-open';
  const isFull = inFlight >= maxInFlight;
  const texts = [
    `${inFlight} of ${maxInFlight} under way`,
    `${waiting} of ${maxWaiting} wait`,
    `${count(retriesLeft, 'retry', 'retries')} left`,
    ...(breaker === 'none'
      ? []
      : [`breaker ${breaker}${breakerMs > 0 ? `: 503 for ${waitText(breakerMs)} more` : ''}`]),
  ];
  return [{ label: 'Load', mark: isOpen ? 'wrong' : isFull ? 'warning' : 'ok', text: texts.join(', ') }];
}

function waitText(ms: number): string {
  return formatDuration(Math.ceil(ms));
}

function replyLines({ reply: { drop, lines } }: Explanation): readonly Line[] {
  return labelled('Reply', [...drop.map((name) => `without ${name}`), ...lines.map((line) => `with ${line}`)]);
}

function settingLines({ explanation: { backend }, settings }: ExplainAnswer): readonly Line[] {
  if (backend === null || settings.length === 0) return [];
  return [{ label: 'Node', text: settings.map(({ name, value }) => `${name} ${value}`).join(', ') }];
}

/** Of the route that decides, and of those that something is amiss with. */
function statusLines({ explanation: { rule }, statuses }: ExplainAnswer): readonly Line[] {
  const told = statuses.filter((status) => status.object === rule?.object || !isFine(status)).slice(0, ITEMS_MAX);
  return under(
    'Status',
    told.map((status): Line => ({ mark: isFine(status) ? 'ok' : 'wrong', text: statusText(status) })),
  );
}

function outcomeLine(answer: ExplainAnswer): Line {
  const { does, status, failure, text } = answer.explanation.outcome;
  const refusal = refusalNow(answer);
  if (does === 'forward' && refusal !== '')
    return { label: 'Outcome', mark: 'warning', text: `${text}, but not now: ${refusal}` };
  if (does === 'forward') return { label: 'Outcome', mark: 'ok', text };
  if (does === 'answer') return { label: 'Outcome', mark: 'ok', text: `${text}: ${status}` };
  return { label: 'Outcome', mark: 'wrong', text: `It fails with ${status} (${failure}): ${text}` };
}

/** What is in its way at the moment: the plan is one thing, the state of the node another. */
function refusalNow({ explanation: { rateLimit }, load }: ExplainAnswer): string {
  const left = rateLimit?.left ?? 1;
  if (left <= 0) return '429 (rate-limited)';
  if (load === null) return '';
  const { breaker, breakerMs, inFlight, maxInFlight, waiting, maxWaiting } = load;
  if (breaker === 'open' && breakerMs > 0) return '503 (breaker-open)';
  return inFlight >= maxInFlight && waiting >= maxWaiting ? '503 (overload)' : '';
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(2))}%`;
}

function count(number: number, what: string, several = `${what}s`): string {
  return `${number === 0 ? 'no' : number} ${number === 1 ? what : several}`;
}
