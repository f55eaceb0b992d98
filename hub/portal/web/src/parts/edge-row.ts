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
  td > button {
    white-space: nowrap;
  }
  .standing .notice {
    margin-top: 0.5rem;
  }
  .request {
    margin-top: 0.5rem;
    padding-left: 0.6rem;
    border-left: 3px solid var(--urgent);
  }
  .request p {
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
  return html`<tr data-edge=${nameOf(edge)}>
    <td class="short"><strong>${nameOf(edge)}</strong></td>
    <td class="standing">${standing(edge, now)}${requests(edge, acts)}</td>
    <td class="numbers short">${heard(edge, now)}</td>
    <td class="wide">
      ${edge.status ? field(edge.status, 'status') : '—'}
      ${edge.chain.map((words) => html`<div class="part chain">${words}</div>`)}
    </td>
    <td class="wide">${onTheWay(edge.studies)}</td>
    ${acts
      ? html`<td>
          ${edge.state === 'revoked'
            ? nothing
            : html`<button type="button" @click=${() => acts.revoke(edge)}>${t('fleet.revoke')}<span class="unseen"> ${nameOf(edge)}</span></button>`}
        </td>`
      : nothing}
  </tr>`;
}

function standing(edge: Edge, now: number) {
  const late = edge.state === 'enrolled' && edge.late;
  return html`<span class="chip ${late ? 'urgent' : TONES[edge.state]}">${word('edge', edge.state)}</span>
    ${brief(edge, now)}
    <span class="quiet">${certificate(edge)}</span>
    <span class="quiet serial numbers">${t('fleet.serial', { serial: edge.serial })}</span>`;
}

function brief({ state, late, not_after: end }: Edge, now: number): string {
  if (state !== 'enrolled') {
    return state === 'approved' ? t('fleet.approved') : '';
  }
  const left = Date.parse(end) - now;
  const days = left < 2 * DAY_MS ? span(left, language()) : t('fleet.days', { days: Math.round(left / DAY_MS) });
  return late ? t('fleet.late', { days }) : t('fleet.renews', { days });
}

function certificate({ state, not_after: end, revoked_at: out, revoked_why: why }: Edge): string {
  const until = moment(end);
  if (state === 'revoked') {
    return [out ? moment(out) : '', why].filter(Boolean).join(': ');
  }
  if (state === 'enrolled') {
    return t('fleet.until', { until });
  }
  return [t('fleet.ended', { until }), state === 'expired' ? t('fleet.willask') : ''].join(' ');
}

/** Who asks to come back, each with what can be decided of it. */
function requests(edge: Edge, acts: EdgeActs | null) {
  const asked = edge.state === 'returning' ? edge.returns.filter((one) => one.decision === 'asked') : [];
  const several = asked.length > 1;
  return html`${several ? html`<p class="notice bad">${t('fleet.twice')}</p>` : nothing}
    ${asked.map((one) => {
      const unseen = html`<span class="unseen"> ${nameOf(edge)}${several ? ` ${digitsOf(one)}` : ''}</span>`;
      return html`<div class="request">
        <p>${t('fleet.asks', { since: moment(one.asked_at), digits: digitsOf(one) })}</p>
        ${acts
          ? html`<button type="button" class=${several ? '' : 'main'} @click=${() => acts.decide(edge, one, true)}>${t('fleet.let')}${unseen}</button>
              <button type="button" @click=${() => acts.decide(edge, one, false)}>${t('fleet.turn')}${unseen}</button>`
          : nothing}
      </div>`;
    })}`;
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
