// What the hub tells by itself: server-sent events, one connection for the whole portal.

export type HubEvent = 'worklist' | 'case' | 'delivery' | 'alert';
type Listener = (data: Record<string, unknown>) => void;

const KINDS: readonly HubEvent[] = ['worklist', 'case', 'delivery', 'alert'];
const listeners = new Map<HubEvent, Set<Listener>>(KINDS.map((kind) => [kind, new Set()]));
let source: EventSource | null = null;

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text || '{}') as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Connect; the browser reconnects by itself when the hub was away. */
export function connect(): void {
  if (source && source.readyState !== EventSource.CLOSED) {
    return;
  }
  source = new EventSource('/api/events');
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => {
      for (const listener of listeners.get(kind) ?? []) {
        listener(parse((event as MessageEvent<string>).data));
      }
    });
  }
}

export function disconnect(): void {
  source?.close();
  source = null;
}

/** Call back at every event of a kind; returns what ends it. */
export function listen(kind: HubEvent, listener: Listener): () => void {
  listeners.get(kind)?.add(listener);
  return () => listeners.get(kind)?.delete(listener);
}
