// Values of many kinds as words: what a field of an administrator's table shows.
import { css, html } from 'lit';
import { bytes, moment } from '../format.ts';
import { t, word } from '../i18n.ts';

export const cellStyles = css`
  .fact {
    display: inline-block;
    margin-right: 1rem;
  }
  td .fact .quiet {
    display: inline;
  }
`;

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;
const LONG_DIGEST = /^[0-9a-f]{32,}$/;

/** A value as words. The name tells what a number counts. */
function cell(value: unknown, name = ''): string {
  if (value === null || value === undefined || value === '') {
    return '—';
  }
  if (typeof value === 'boolean') {
    return value ? t('yes') : t('no');
  }
  if (typeof value === 'string') {
    return MOMENT.test(value) ? moment(value) : LONG_DIGEST.test(value) ? `${value.slice(0, 12)}…` : value;
  }
  if (typeof value === 'number') {
    return number(value, name);
  }
  return JSON.stringify(value);
}

function number(value: number, name: string): string {
  if (name === 'round_trip') {
    return `${Math.round(value * 1000)} ms`;
  }
  return name === 'rate' ? `${bytes(value)}/s` : /bytes|free|size/.test(name) ? bytes(value) : String(Math.round(value));
}

/** A line that stands still is an alert, whatever else an edge tells. */
function stalled(value: unknown) {
  const said = typeof value === 'string' ? cell(value) : '';
  return html`<span class="chip stat" data-stalled role="status">${t('admin.stalls')} ${said}</span> `;
}

/** What stands in one field of a table: words, or the parts of a value one below the other. */
export function field(value: unknown, name: string): unknown {
  if (Array.isArray(value)) {
    return value.length ? value.map((part) => html`<div class="part">${field(part, name)}</div>`) : '—';
  }
  if (typeof value === 'object' && value !== null) {
    const told = Object.entries(value).filter(([, part]) => part !== null && part !== '');
    return told.map(([key, part]) =>
      key === 'stalled' && part ? stalled(part) : html`<span class="fact"><span class="quiet">${word('admin', key)}</span> ${cell(part, key)}</span> `,
    );
  }
  return cell(value, name);
}
