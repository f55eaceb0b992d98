// Which cases the worklist shows, and in which order. Pure.
import type { Case } from './types.ts';

export type Column = 'priority' | 'patient' | 'study' | 'site' | 'images' | 'waiting' | 'deadline' | 'assignee' | 'state';
export type Show = 'open' | 'reported' | 'all';

export interface Order {
  column: Column;
  descending: boolean;
}

const URGENCY = { stat: 0, urgent: 1, routine: 2, prior: 3 };
const NEVER = '9999';

/** First what is most urgent, then what is due first, then what has waited longest. */
function byUrgency(a: Case, b: Case): number {
  return (
    (URGENCY[a.priority] ?? 9) - (URGENCY[b.priority] ?? 9) ||
    (a.deadline ?? NEVER).localeCompare(b.deadline ?? NEVER) ||
    a.received_at.localeCompare(b.received_at)
  );
}

const COMPARE: Record<Column, (a: Case, b: Case) => number> = {
  priority: byUrgency,
  patient: (a, b) => a.patient.name.localeCompare(b.patient.name),
  study: (a, b) =>
    a.modalities.join().localeCompare(b.modalities.join()) || a.description.localeCompare(b.description),
  site: (a, b) => a.site.localeCompare(b.site),
  images: (a, b) => a.instances - b.instances,
  waiting: (a, b) => b.received_at.localeCompare(a.received_at),
  deadline: (a, b) => (a.deadline ?? NEVER).localeCompare(b.deadline ?? NEVER),
  assignee: (a, b) => (a.assignee?.display_name ?? '').localeCompare(b.assignee?.display_name ?? ''),
  state: (a, b) => a.state.localeCompare(b.state),
};

export function isReported(item: Case): boolean {
  return item.report !== null;
}

function text(item: Case): string {
  const { name, id } = item.patient;
  return [name, id, item.description, item.accession, item.site, item.assignee?.display_name ?? '']
    .concat(item.modalities, item.body_parts)
    .join(' ')
    .replaceAll('^', ' ')
    .toLowerCase();
}

/** The cases to show: every word of the search must be somewhere in the row. */
export function arrange(cases: readonly Case[], show: Show, search: string, order: Order): Case[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const turn = order.descending ? -1 : 1;
  return cases
    .filter((item) => show === 'all' || isReported(item) === (show === 'reported'))
    .filter((item) => words.every((word) => text(item).includes(word)))
    .sort((a, b) => turn * COMPARE[order.column](a, b) || byUrgency(a, b) || a.id - b.id);
}
