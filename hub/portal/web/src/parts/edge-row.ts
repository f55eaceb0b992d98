// One edge as a row: who it is, how its certificate stands, when it was heard, its line, what comes.
import { css, html, nothing } from 'lit';
import { moment, span } from '../format.ts';
import { language, t, word } from '../i18n.ts';
import type { Edge, EdgeReturn } from '../types.ts';
import { field } from './cells.ts';
import { onTheWay } from './on-the-way.ts';

const SILENT_MS = 30 * 60_000;
const DAY_MS = 86_400_000;
const DIGITS = 12; // of a request: as many as the command line shows

const TONES: Record<Edge['state'], string> = {
  enrolled: 'good',
  expired: 'urgent',
  returning: 'urgent',
  approved: 'accent',
  revoked: 'stat',
};

export const edgeRowStyles = css`
  .standing {
    min-width: 20.5rem;
    max-width: 25rem;
    overflow-wrap: anywhere;
  }
  td .serial {
    font-size: 0.8rem;
    white-space: nowrap;
  }
  .standing p {
    margin-top: 0.25rem;
  }
  .acts {
    white-space: nowrap;
    text-align: right;
  }
  .acts button {
    display: block;
    width: 100%;
    margin-bottom: 0.3rem;
  }
  .chain {
    color: var(--urgent);
  }
`;

export interface EdgeActs {
  revoke(edge: Edge): void;
  decide(edge: Edge, request: EdgeReturn, approve: boolean): void;
}

export const nameOf = ({ site, edge }: Edge): string => `${site}/${edge}`;
export const digitsOf = ({ request }: EdgeReturn): string => request.slice(0, DIGITS);

export function edgeRow(edge: Edge, now: number, acts: EdgeActs | null) {
  const asked = edge.state === 'returning' ? edge.returns.filter((one) => one.decision === 'asked') : [];
  return html`<tr data-edge=${nameOf(edge)}>
    <td class="short"><strong>${nameOf(edge)}</strong></td>
    <td class="standing">${standing(edge, now, asked)}</td>
    <td class="numbers short">${heard(edge, now)}</td>
    <td class="wide">
      ${edge.status ? field(edge.status, 'status') : '—'}
      ${edge.chain.map((words) => html`<div class="part chain">${words}</div>`)}
    </td>
    <td class="wide">${onTheWay(edge.studies)}</td>
    ${acts ? html`<td class="acts">${buttons(edge, asked, acts)}</td>` : nothing}
  </tr>`;
}

function standing(edge: Edge, now: number, asked: EdgeReturn[]) {
  const late = edge.state === 'enrolled' && edge.late;
  return html`<span class="chip ${late ? 'urgent' : TONES[edge.state]}">${word('edge', edge.state)}</span>
    <span class="quiet">${certificate(edge, now)}</span>
    <span class="quiet serial numbers">${t('fleet.serial', { serial: edge.serial })}</span>
    ${asked.map((one) => html`<p>${t('fleet.asks', { since: moment(one.asked_at), digits: digitsOf(one) })}</p>`)}
    ${asked.length > 1 ? html`<p class="notice bad">${t('fleet.twice')}</p>` : nothing}`;
}

function certificate({ state, late, not_after: end, revoked_at: out, revoked_why: why }: Edge, now: number): string {
  const until = moment(end);
  switch (state) {
    case 'enrolled': {
      const left = Date.parse(end) - now;
      const days = left < 2 * DAY_MS ? span(left, language()) : t('fleet.days', { days: Math.round(left / DAY_MS) });
      return late ? t('fleet.late', { days, until }) : t('fleet.renews', { days, until });
    }
    case 'revoked':
      return [out ? moment(out) : '', why].filter(Boolean).join(': ');
    case 'approved':
      return t('fleet.approved', { until });
    case 'returning':
      return t('fleet.ended', { until });
    default:
      return `${t('fleet.ended', { until })} ${t('fleet.willask')}`;
  }
}

function heard({ last_seen: seen, state }: Edge, now: number) {
  if (!seen) {
    return t('fleet.never');
  }
  const past = now - Date.parse(seen);
  const said = past < 60_000 ? t('fleet.justnow') : t('fleet.ago', { span: span(past, language()) });
  const silent = state === 'enrolled' && past > SILENT_MS;
  return html`<span class=${silent ? 'soon' : ''}>${said}</span><span class="quiet">${moment(seen)}</span>`;
}

function buttons(edge: Edge, asked: EdgeReturn[], acts: EdgeActs) {
  const name = nameOf(edge);
  const unseen = (one?: EdgeReturn) => html`<span class="unseen"> ${name}${one && asked.length > 1 ? ` ${digitsOf(one)}` : ''}</span>`;
  return html`${asked.map(
      (one) => html`<button type="button" class="main" @click=${() => acts.decide(edge, one, true)}>${t('fleet.let')}${unseen(one)}</button>
        <button type="button" @click=${() => acts.decide(edge, one, false)}>${t('fleet.turn')}${unseen(one)}</button>`,
    )}
    ${edge.state === 'revoked'
      ? nothing
      : html`<button type="button" @click=${() => acts.revoke(edge)}>${t('fleet.revoke')}${unseen()}</button>`}`;
}
