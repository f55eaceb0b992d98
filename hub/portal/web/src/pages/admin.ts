// What an administrator looks at: edges, what is set aside, what contradicts itself, the rules in force.
import { css, html, nothing, type PropertyValues } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { listen } from '../events.ts';
import { bytes, moment } from '../format.ts';
import { Localised, t, word } from '../i18n.ts';
import { caseRowStyles } from '../parts/case-row.ts';
import { onTheWay, type Coming } from '../parts/on-the-way.ts';
import { shared } from '../parts/styles.ts';
import { tablesOf } from '../route.ts';
import './audit.ts';
import './oversight.ts';

type Row = Record<string, unknown>;
interface Fault {
  line?: number | null;
  message?: string;
}

const REFRESH_MS = 15_000;
const WIDE = new Set(['status', 'studies', 'instances', 'reason', 'chain', 'revoked_why', 'study_uid']);
const OWN_PAGES = new Set(['audit', 'emergencies']);
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
function field(value: unknown, name: string): unknown {
  if (name === 'studies' && Array.isArray(value)) {
    return onTheWay(value as Coming[]);
  }
  if (Array.isArray(value)) {
    return value.length ? value.map((part) => html`<div class="part">${field(part, name)}</div>`) : '—';
  }
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).map(([key, part]) =>
      key === 'stalled' && part ? stalled(part) : html`<span class="fact"><span class="quiet">${word('admin', key)}</span> ${cell(part, key)}</span> `,
    );
  }
  return cell(value, name);
}

@customElement('tr-admin')
export class Admin extends Localised {
  @property() table = 'edges';
  @property() viewer = '';
  @state() private data: Record<string, unknown> | null = null;
  @state() private failure = '';
  private ends: (() => void)[] = [];

  static override styles = [
    shared,
    caseRowStyles,
    css`
      :host {
        display: grid;
        grid-template-rows: auto minmax(0, 1fr);
        gap: 0.8rem;
        height: 100%;
        padding: 0.9rem;
      }
      nav {
        display: flex;
        gap: 0.3rem;
      }
      nav a {
        padding: 0.35rem 0.8rem;
        border-radius: var(--radius);
        text-decoration: none;
        color: var(--quiet);
      }
      nav a[aria-current='page'] {
        background: var(--accent-ground);
        color: var(--accent);
      }
      .scroll {
        overflow: auto;
        border: 1px solid var(--line);
        border-radius: 10px;
        background: var(--surface);
      }
      tbody tr {
        cursor: default;
      }
      th {
        padding: 0.5rem 0.6rem;
        color: var(--quiet);
      }
      td {
        white-space: nowrap;
      }
      td.wide {
        min-width: 16rem;
        white-space: normal;
        overflow-wrap: anywhere;
      }
      .fact {
        display: inline-block;
        margin-right: 1rem;
      }
      .part + .part {
        margin-top: 0.3rem;
        padding-top: 0.3rem;
        border-top: 1px dotted var(--line);
      }
      td .fact .quiet {
        display: inline;
      }
      pre {
        margin: 0;
        padding: 1rem;
        font-size: 0.95rem;
        tab-size: 2;
      }
      .empty,
      .faults {
        margin: 1rem;
      }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    const again = (): void => void (this.table === 'edges' && this.data && this.look(this.table));
    const timer = window.setInterval(again, REFRESH_MS);
    this.ends = [listen('worklist', again), () => window.clearInterval(timer)];
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.ends.forEach((end) => end());
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('table') && !OWN_PAGES.has(this.table)) {
      void this.load(this.table);
    }
  }

  private async load(table: string): Promise<void> {
    this.data = null;
    await this.look(table);
  }

  private async look(table: string): Promise<void> {
    this.failure = '';
    try {
      const data = await api.admin<Record<string, unknown>>(table);
      if (table === this.table) {
        this.data = data;
      }
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  override render() {
    return html`
      <h1 class="unseen">${word('admin', this.table)}</h1>
      <nav aria-label=${t('nav.admin')}>
        ${tablesOf(this.viewer).map(
          (table) => html`<a href="#/admin/${table}" aria-current=${table === this.table ? 'page' : 'false'}>${word('admin', table)}</a>`,
        )}
      </nav>
      ${this.table === 'audit'
        ? html`<tr-audit></tr-audit>`
        : this.table === 'emergencies'
          ? html`<tr-oversight></tr-oversight>`
          : this.shown()}
    `;
  }

  private shown() {
    return html`
      <div class="scroll">
        ${this.failure ? html`<p class="notice bad empty" role="alert">${this.failure}</p>` : this.content()}
      </div>
    `;
  }

  private content() {
    if (!this.data) {
      return html`<p class="empty quiet">${t('loading')}</p>`;
    }
    if (this.table === 'rules') {
      return this.rules(String(this.data['text'] ?? ''), (this.data['faults'] ?? []) as (Fault | string)[]);
    }
    const rows = Object.values(this.data).find(Array.isArray) as Row[] | undefined;
    return rows?.length ? this.rows(rows) : html`<p class="empty quiet">${t('admin.none')}</p>`;
  }

  private rows(rows: Row[]) {
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    return html`<table>
      <thead>
        <tr>${columns.map((column) => html`<th scope="col">${word('admin', column)}</th>`)}</tr>
      </thead>
      <tbody>
        ${rows.map((row) => html`<tr>${columns.map((column) => html`<td class=${WIDE.has(column) ? 'wide' : 'numbers'}>${field(row[column], column)}</td>`)}</tr>`)}
      </tbody>
    </table>`;
  }

  private rules(text: string, faults: (Fault | string)[]) {
    return html`
      ${faults.length
        ? html`<div class="faults notice bad" role="alert">
            ${faults.map((fault) => html`<p>${typeof fault === 'string' ? fault : `${t('admin.line', { line: fault.line ?? '—' })}: ${fault.message ?? ''}`}</p>`)}
          </div>`
        : html`<p class="faults chip good">${t('admin.faultless')}</p>`}
      ${text ? html`<pre tabindex="0">${text}</pre>` : nothing}
    `;
  }
}
