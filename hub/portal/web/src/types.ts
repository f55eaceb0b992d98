// The portal's JSON API, as the hub serves it under /api.

export type Priority = 'stat' | 'urgent' | 'routine' | 'prior';
export type DeliveryState = 'queued' | 'fetched' | 'verified' | 'delivered' | 'acknowledged' | 'refused';

export interface User {
  name: string;
  display_name: string;
  role: string;
  language: string;
}

export interface Session {
  user: User;
  csrf: string;
  factors: number;
  second_factor: 'enrolled' | 'unproved' | 'required' | 'none';
}

export interface CustodyMoment {
  at: string;
  event: string;
  facts: Record<string, string | number>;
  entry: number | null;
  words: string;
}

export interface Custody {
  instances: number;
  parcels: number;
  witnesses: string[];
  log: { origin: string; size: number; root: string };
  timeline: CustodyMoment[];
}

export interface Patient {
  name: string;
  id: string;
  birth_date: string | null;
  sex: string | null;
}

export interface Person {
  name: string;
  display_name: string;
}

export interface ReportSummary {
  id: string;
  signed_at: string;
  signed_by: string;
  delivery: DeliveryState;
  delivered_at: string | null;
}

/** How far the hospital's edge is with a study, as it told last. */
export interface Progress {
  received: number;
  confirmed: number;
  waiting_bytes: number;
  eta_seconds: number | null;
  told_at: string;
  rate?: number; // bytes a second of the line
}

/** One kind of thing noticed about the images; its words are `quality.…` with these parameters. */
export interface Noticed {
  kind: string;
  severity: 'note' | 'warning';
  series_uid: string;
  parameters: Record<string, string>;
}

/** A series that changed after the study had been complete. */
export interface Change {
  series_uid: string;
  modality: string;
  number: number | null;
  description: string;
  before: number;
  now: number;
  at: string;
}

export interface Case {
  id: number;
  state: string;
  priority: Priority;
  study_uid: string;
  patient: Patient;
  site: string;
  modalities: string[];
  body_parts: string[];
  description: string;
  study_date: string | null;
  study_time: string | null;
  utc_offset?: string; // of date and time, such as +0800; empty: not known
  institution?: string;
  accession: string;
  instances: number;
  expected: number | null;
  series: number;
  complete: boolean;
  arrival?: 'arriving' | 'complete' | 'reopened';
  progress?: Progress | null;
  warnings?: (Noticed & { number: number })[];
  completeness: string;
  received_at: string;
  deadline: string | null;
  group: string;
  assignee: Person | null;
  rule: string;
  conflicts: number;
  messages?: { unread: number; asked: number }; // with the hospital
  late?: number; // instances that came after the case was read
  report: ReportSummary | null;
}

export interface Message {
  number: number;
  id: string;
  sender: 'reader' | 'site';
  purpose: 'request' | 'message' | 'answer' | 'done' | 'cannot';
  need: string;
  text: string;
  author: string;
  at: string;
  seen_at: string | null;
  closed_at: string | null;
  came_after: SeriesFacts[] | null; // of a request: what the hospital sent since
}

export interface Conversation {
  site: string;
  messages: Message[];
}

export interface Prior {
  study_uid: string;
  study_date: string | null;
  modalities: string[];
  description: string;
  report_id: string | null;
}

export interface SeriesFacts {
  series_uid: string;
  modality: string;
  description: string;
  instances: number;
}

export interface CaseDetail extends Case {
  clinical_question: string;
  why: string[];
  hold?: string | null; // why the rules give it to nobody
  return_reason?: string | null;
  lease: { by: string; until: string } | null;
  priors: Prior[];
  series_list: SeriesFacts[];
  quality?: Noticed[];
  acquisition?: { series_uid: string; parameters: Record<string, string> }[];
  changes?: Change[];
  reports: Report[];
  viewer: string;
}

export interface Body {
  clinical_question: string;
  technique: string;
  comparison: string;
  findings: string;
  impression: string;
  critical: boolean;
  language: string;
}

export interface Draft {
  revision: number;
  body: Partial<Body>;
  author: string | null;
  at: string | null;
}

export interface Saved {
  revision: number;
  at: string;
}

export interface Outcome {
  destination: string;
  kind: string;
  outcome: string;
  detail: string;
  at: string;
}

export interface Delivery {
  state: DeliveryState;
  queued_at: string;
  fetched_at: string | null;
  acknowledged_at: string | null;
  reason: string | null;
  outcomes: Outcome[];
}

export interface Report {
  id: string;
  version: number;
  kind: 'report' | 'addendum';
  state: string;
  body: Body;
  signed_by: Person;
  signed_at: string;
  pdf: string;
  pdf_sha256: string;
  delivery: Delivery | null;
}

export interface Passkey {
  id: string;
  label: string;
  created_at: string;
  used_at: string | null;
}

export interface OwnSession {
  id: string;
  address: string;
  agent: string;
  seen_at: string;
  current: boolean;
}

export interface OwnAccount {
  totp: boolean;
  passkeys: Passkey[];
  recovery_left: number;
  sessions: OwnSession[];
}

export interface AuditEvent {
  id: number;
  at: string;
  event: string;
  dicom: string;
  outcome: number;
  person: string;
  role: string;
  address: string;
  site: string;
  study_uid: string;
  patient_id: string;
  detail: Record<string, unknown>;
}

export interface AuditPage {
  events: AuditEvent[];
  kinds: string[];
  next: number | null;
}

export interface EmergencyAccess {
  at: string;
  until: string;
  open: boolean;
  user: Person;
  reason: string;
  site: string;
  study_uid: string;
  accession: string;
}

export interface Coming {
  study_uid: string;
  priority: Priority;
  received: number;
  confirmed: number;
  waiting_bytes: number;
  eta_seconds: number | null;
  here: number;
}

export type EdgeState = 'enrolled' | 'expired' | 'returning' | 'approved' | 'revoked';

/** An edge's request to come back after its certificate ended. */
export interface EdgeReturn {
  request: string;
  asked_at: string;
  decision: 'asked' | 'approved' | 'refused';
}

export interface Edge {
  site: string;
  edge: string;
  serial: string;
  last_seen: string | null;
  issued_at: string;
  not_after: string;
  revoked_at: string | null;
  revoked_why: string | null;
  state: EdgeState;
  late: boolean;
  chain: string[];
  status: Record<string, unknown> | null;
  studies: Coming[];
  returns: EdgeReturn[];
}

/** A code that was made and not used yet; the code itself is nowhere any more. */
export interface UnusedCode {
  id: string;
  site: string;
  edge: string | null;
  created_at: string;
  expires_at: string;
}

export interface Fleet {
  edges: Edge[];
  codes: UnusedCode[];
  now: string;
}

/** A code that was just made: the only time it is seen. */
export interface Invited {
  code: string;
  hub: string;
  site: string;
  edge: string | null;
  expires_at: string;
}

export interface Alert {
  id: number;
  kind: string;
  severity: 'alarm' | 'warning';
  site: string;
  edge: string;
  words: string;
  words_zh: string;
  facts: Record<string, string | number>;
  at: string;
  last_at: string;
  times: number;
  ended_at: string | null;
  acknowledged_at: string | null;
  acknowledged_by: string | null;
  reason: string | null;
}
