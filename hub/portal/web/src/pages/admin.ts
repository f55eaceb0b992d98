// What an administrator looks at: each table on its page; what is set aside, what contradicts itself, the rules.
import { css, html, nothing, type PropertyValues } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { Localised, t, word } from '../i18n.ts';
import { cellStyles, field } from '../parts/cells.ts';
import { shared } from '../parts/styles.ts';
import { instead, list, listStyles } from '../parts/table.ts';
import { tablesOf } from '../route.ts';
import './alerts.ts';
import './audit.ts';
import './fleet.ts';
import './oversight.ts';

type Row = Record<string, unknown>;
interface Fault {
  line?: number | null;
  message?: string;
}

const WIDE = new Set(['instances', 'reason', 'study_uid']);
const OWN_PAGES = new Set(['edges', 'alerts', 'audit', 'emergencies']);

@customElement('tr-admin')
export class Admin extends Localised {
  @property() table = 'edges';
  @property() viewer = '';
  @state() private data: Record<string, unknown> | null = null;
  @state() private failure = '';

  static override styles = [
    shared,
    listStyles,
    cellStyles,
    css`
      :host {
        display: grid;
        grid-template: auto minmax(0, 1fr) / minmax(0, 1fr);
        gap: 0.8rem;
        height: 100%;
        padding: 0.9rem;
      }
      nav {
        display: flex;
        flex-wrap: wrap;
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
      pre {
        margin: 0;
        padding: 1rem;
        font-size: 0.95rem;
        tab-size: 2;
      }
      .faults {
        margin: 1rem;
      }
    `,
  ];

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('table') && !OWN_PAGES.has(this.table)) {
      void this.load(this.table);
    }
  }

  private async load(table: string): Promise<void> {
    this.data = null;
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
      ${this.page()}
    `;
  }

  private page() {
    switch (this.table) {
      case 'edges':
        return html`<tr-fleet .acts=${this.viewer === 'admin'}></tr-fleet>`;
      case 'alerts':
        return html`<tr-alerts .acts=${this.viewer === 'admin'}></tr-alerts>`;
      case 'audit':
        return html`<tr-audit></tr-audit>`;
      case 'emergencies':
        return html`<tr-oversight></tr-oversight>`;
      default:
        return html`<div class="scroll" tabindex="0" role="region" aria-label=${word('admin', this.table)}>${this.content()}</div>`;
    }
  }

  private content() {
    if (!this.data) {
      return instead(this.failure, t('loading'));
    }
    if (this.table === 'rules') {
      return this.rules(String(this.data['text'] ?? ''), (this.data['faults'] ?? []) as (Fault | string)[]);
    }
    const rows = Object.values(this.data).find(Array.isArray) as Row[] | undefined;
    return rows?.length ? this.rows(rows) : instead('', t('admin.none'));
  }

  private rows(rows: Row[]) {
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
    const cells = (row: Row) =>
      columns.map((column) => html`<td class=${WIDE.has(column) ? 'wide' : 'numbers short'}>${field(row[column], column)}</td>`);
    return list(columns.map((column) => word('admin', column)), rows.map((row) => html`<tr>${cells(row)}</tr>`));
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
