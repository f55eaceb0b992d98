// One case as a row of the worklist.
import { css, html, nothing } from 'lit';
import { clock, day, personName, span } from '../format.ts';
import { language, t, word } from '../i18n.ts';
import type { Case } from '../types.ts';
import { arrival } from './arrival.ts';
import { modalityChip } from './modality.ts';
import { sexAndAge } from './patient.ts';
import { priorityChip } from './priority.ts';

const SOON_MS = 15 * 60_000; // a deadline this near is shown as pressing

export const caseRowStyles = css`
  th button {
    color: var(--quiet);
    font-weight: 600;
    padding: 0.25rem 0.5rem;
  }
  tbody tr {
    cursor: pointer;
  }
  tbody tr[aria-selected='true'] {
    background: var(--hover);
    box-shadow: inset 3px 0 0 var(--accent);
  }
  tbody tr:focus-visible {
    outline-offset: -2px;
  }
  .over {
    color: var(--stat);
    font-weight: 700;
  }
  .soon {
    color: var(--urgent);
    font-weight: 600;
  }
  [data-noticed],
  [data-messages],
  [data-conflicts] {
    display: block;
    width: fit-content;
    margin-top: 0.2rem;
  }
  progress {
    display: block;
    width: 7rem;
    height: 5px;
    margin-top: 0.35rem;
    border: 0;
    border-radius: 3px;
    overflow: hidden;
    background: var(--line);
    accent-color: var(--accent);
  }
  progress::-webkit-progress-bar {
    background: var(--line);
  }
  progress::-webkit-progress-value {
    background: var(--accent);
  }
`;

export interface RowActions {
  open(): void;
  focus(): void;
}

export function caseRow(item: Case, now: number, chosen: boolean, actions: RowActions) {
  const { patient } = item;
  return html`<tr
    data-case=${item.id}
    tabindex=${chosen ? 0 : -1}
    aria-selected=${chosen}
    @click=${actions.open}
    @focus=${actions.focus}
  >
    <td>${priorityChip(item.priority)}</td>
    <td><strong>${personName(patient.name, language())}</strong><span class="quiet numbers">${[sexAndAge(item), patient.id].filter(Boolean).join(' · ')}</span></td>
    <td>
      ${modalityChip(item.modalities)} ${item.description || '—'}
      <span class="quiet numbers">${[item.body_parts.join(' '), day(item.study_date), item.accession].filter(Boolean).join(' · ')}</span>
    </td>
    <td>${item.site}${item.institution ? html`<span class="quiet">${item.institution}</span>` : nothing}</td>
    <td class="numbers">${arrival(item, now)}</td>
    <td class="numbers">${span(now - Date.parse(item.received_at), language())}</td>
    <td class="numbers">${item.report ? '' : deadline(item, now)}</td>
    <td>${item.assignee?.display_name ?? '—'}<span class="quiet">${item.group}</span></td>
    <td>${standing(item)}${messages(item)}</td>
  </tr>`;
}

function deadline(item: Case, now: number) {
  if (!item.deadline) {
    return '—';
  }
  const left = Date.parse(item.deadline) - now;
  const urgency = left < 0 ? 'over' : left < SOON_MS ? 'soon' : '';
  const said = left < 0 ? t('deadline.over', { span: span(left, language()) }) : t('deadline.in', { span: span(left, language()) });
  return html`<span class=${urgency}>${said}</span><span class="quiet">${clock(item.deadline)}</span>`;
}

function messages({ messages: told }: Case) {
  const unread = told?.unread
    ? html`<span class="chip accent" data-messages>${t('messages.unread', { number: told.unread })}</span>`
    : nothing;
  const asked = told?.asked ? html`<span class="chip urgent" data-messages>${t('messages.asked')}</span>` : nothing;
  return html`${unread}${asked}`;
}

function standing(item: Case) {
  if (!item.report) {
    return html`<span class="chip">${word('state', item.state)}</span>`;
  }
  const { delivery, delivered_at: at, signed_by: by } = item.report;
  const tone = delivery === 'acknowledged' ? 'good' : delivery === 'refused' ? 'stat' : 'accent';
  return html`<span class="chip ${tone}">${word('delivery', delivery)}${at ? ` ${clock(at)}` : ''}</span
    ><span class="quiet">${t('signed.by', { name: by })}</span>`;
}
