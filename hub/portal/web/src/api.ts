// The one door to the hub: every request of the portal goes through here.
import type { Json } from './passkey.ts';
import type {
  Alert,
  AuditPage,
  Body,
  Case,
  CaseDetail,
  Conversation,
  Custody,
  Draft,
  EmergencyAccess,
  Fleet,
  Invited,
  OwnAccount,
  Report,
  Saved,
  Session,
} from './types.ts';

/** An answer that is not a success, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly current: unknown = null,
  ) {
    super(message);
  }

  /** Whether the same request may succeed later: the hub was away or busy. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const UNSAFE = new Set(['POST', 'PUT', 'DELETE']);
let csrf = '';
let onSessionEnd: () => void = () => undefined;
let onStepUp: () => Promise<boolean> = () => Promise.resolve(false);

/** Who asks: a person, or the page by itself, which is no sign of life (the session may go idle). */
export type By = 'person' | 'page';

/** Tell what to do when the hub no longer knows our session. */
export function whenSessionEnds(callback: () => void): void {
  onSessionEnd = callback;
}

/** Tell how the second factor is asked for again; the request that needed it is then sent once more. */
export function whenStepUp(ask: () => Promise<boolean>): void {
  onStepUp = ask;
}

async function problem(response: Response): Promise<ApiError> {
  const fallback = `${response.status} ${response.statusText}`;
  try {
    const { error, current } = (await response.json()) as {
      error?: { code?: string; message?: string };
      current?: unknown;
    };
    return new ApiError(response.status, error?.code ?? '', error?.message ?? fallback, current ?? null);
  } catch {
    return new ApiError(response.status, '', fallback);
  }
}

async function call<T>(method: string, path: string, body?: unknown, by: By = 'person'): Promise<T> {
  try {
    return await once<T>(method, path, body, by);
  } catch (error) {
    const owed = error instanceof ApiError && error.code === 'step_up_required' && by === 'person';
    if (owed && (await onStepUp())) {
      return once<T>(method, path, body, by);
    }
    throw error;
  }
}

async function once<T>(method: string, path: string, body: unknown, by: By): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (by === 'page') {
    headers['X-Background'] = '1';
  }
  if (body !== undefined) {
    headers['Content-Type'] = 'application/json';
  }
  if (UNSAFE.has(method)) {
    headers['X-CSRF-Token'] = csrf;
  }
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: 'same-origin',
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch (error) {
    throw new ApiError(0, 'unreachable', error instanceof Error ? error.message : String(error));
  }
  if (!response.ok) {
    const failure = await problem(response);
    // A wrong code while the second factor is set up is 401 too, and ends no session.
    if (failure.status === 401 && failure.code !== 'bad_credentials' && !path.startsWith('/api/session')) {
      onSessionEnd();
    }
    throw failure;
  }
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function begin(answer: Promise<Session>): Promise<Session> {
  const session = await answer;
  csrf = session.csrf;
  return session;
}

// Who may not read reports gets a case without them.
async function whole(answer: Promise<CaseDetail>): Promise<CaseDetail> {
  const detail = await answer;
  return { ...detail, reports: detail.reports ?? [] };
}

const ofCase = (id: number): string => `/api/cases/${id}`;

export const api = {
  session: () => begin(call<Session>('GET', '/api/session')),
  logIn: (username: string, password: string, code?: string) =>
    begin(call<Session>('POST', '/api/session', code ? { username, password, code } : { username, password })),
  ways: () => call<{ sso: string | null }>('GET', '/api/login'),
  beginPasskeyLogIn: () => call<Json>('POST', '/api/session/passkey/options', {}),
  logInWithPasskey: (credential: Json) => begin(call<Session>('POST', '/api/session/passkey', { credential })),
  beginStepUp: () => call<{ passkey: Json | null; code: boolean }>('POST', '/api/session/step-up/options', {}),
  stepUp: (proof: { code?: string; credential?: Json }) => begin(call<Session>('POST', '/api/session/step-up', proof)),
  account: () => call<OwnAccount>('GET', '/api/account'),
  beginPasskey: () => call<Json>('POST', '/api/passkeys/options', {}),
  addPasskey: (credential: Json, label: string) =>
    begin(call<Session>('POST', '/api/passkeys', { credential, label })),
  removePasskey: (id: string) => call<void>('DELETE', `/api/passkeys/${encodeURIComponent(id)}`),
  renewRecovery: () => call<{ codes: string[] }>('POST', '/api/recovery', {}),
  endSession: (id: string) => call<void>('DELETE', `/api/sessions/${encodeURIComponent(id)}`),
  breakGlass: (study: string, reason: string) =>
    call<{ study_uid: string; case: number | null; until: string }>('POST', '/api/break-glass', { study, reason }),
  emergencies: () => call<{ emergencies: EmergencyAccess[] }>('GET', '/api/break-glass'),
  audit: (query: URLSearchParams) => call<AuditPage>('GET', `/api/audit?${query.toString()}`),
  logOut: () => call<void>('DELETE', '/api/session'),
  enrol: () => call<{ secret: string; uri: string }>('POST', '/api/session/totp', {}),
  confirmEnrolment: (code: string) => call<void>('POST', '/api/session/totp/confirm', { code }),
  setLanguage: (language: string) => call<void>('PUT', '/api/session/language', { language }),
  worklist: (mine: boolean, by: By = 'person') =>
    call<{ cases: Case[]; now: string }>('GET', mine ? '/api/worklist?mine=1' : '/api/worklist', undefined, by),
  case: (id: number, by: By = 'person') => whole(call<CaseDetail>('GET', ofCase(id), undefined, by)),
  open: (id: number, by: By = 'person') => whole(call<CaseDetail>('POST', `${ofCase(id)}/open`, {}, by)),
  release: (id: number) => call<void>('POST', `${ofCase(id)}/release`, {}),
  complete: (id: number, reason: string) => call<void>('POST', `${ofCase(id)}/complete`, { reason }),
  return: (id: number, reason: string, need: string) =>
    call<void>('POST', `${ofCase(id)}/return`, { reason, need }),
  conversation: (id: number) => call<Conversation>('GET', `${ofCase(id)}/messages`),
  say: (id: number, text: string, message: string) =>
    call<void>('POST', `${ofCase(id)}/messages`, { text, id: message }),
  seen: (id: number, upto: number) => call<void>('POST', `${ofCase(id)}/messages/seen`, { upto }),
  draft: (id: number) => call<Draft>('GET', `${ofCase(id)}/draft`),
  saveDraft: (id: number, base_revision: number, body: Body) =>
    call<Saved>('PUT', `${ofCase(id)}/draft`, { base_revision, body }),
  sign: (id: number, revision: number, passphrase: string) =>
    call<Report>('POST', `${ofCase(id)}/sign`, { revision, passphrase }),
  addendum: (id: number, body: Body, passphrase: string) =>
    call<Report>('POST', `${ofCase(id)}/addendum`, { body, passphrase }),
  custody: (id: number) => call<Custody>('GET', `${ofCase(id)}/custody`),
  report: (id: string) => call<Report>('GET', `/api/reports/${encodeURIComponent(id)}`),
  fleet: (by: By = 'person') => call<Fleet>('GET', '/api/admin/edges', undefined, by),
  makeCode: (site: string, edge: string, hours: number) =>
    call<Invited>('POST', '/api/admin/codes', { site, edge: edge || null, hours }),
  withdrawCode: (id: string) => call<void>('POST', '/api/admin/codes/withdraw', { id }),
  revokeEdge: (site: string, edge: string, reason: string) =>
    call<void>('POST', '/api/admin/edges/revoke', { site, edge, reason }),
  decideReturn: (site: string, edge: string, request: string, approve: boolean) =>
    call<void>('POST', '/api/admin/returns', { site, edge, request, approve }),
  alerts: (by: By = 'person') => call<{ alerts: Alert[] }>('GET', '/api/admin/alerts', undefined, by),
  countAlerts: () => call<{ alarm: number; warning: number }>('GET', '/api/admin/alerts/count', undefined, 'page'),
  acknowledge: (alert: number, reason: string) =>
    call<void>('POST', `/api/admin/alerts/${alert}/acknowledge`, { reason }),
  admin: <T>(table: string) => call<T>('GET', `/api/admin/${table}`),
};
