// The worklist: what waits, for how long, until when; kept current by the hub's own events.
import { css, html, nothing, type PropertyValues } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { api, type By } from '../api.ts';
import { listen } from '../events.ts';
import { Localised, t } from '../i18n.ts';
import { caseRow, caseRowStyles } from '../parts/case-row.ts';
import type { GlassDialog } from '../parts/glass-dialog.ts';
import '../parts/glass-dialog.ts';
import { shared } from '../parts/styles.ts';
import { tableStyles } from '../parts/table.ts';
import { go } from '../route.ts';
import type { Case, User } from '../types.ts';
import { arrange, isReported, type Column, type Order, type Show } from '../worklist-order.ts';

const COLUMNS: Column[] = ['priority', 'patient', 'study', 'site', 'images', 'waiting', 'deadline', 'assignee', 'state'];
const TICK_MS = 10_000; // waiting times and deadlines move on
const REFRESH_MS = 60_000; // in case an event was missed while the hub was away

/** Roles that may break the glass. */
const READS = new Set(['reader', 'lead']);

@customElement('tr-worklist')
export class Worklist extends Localised {
  @property({ attribute: false }) user!: User;
  @state() private cases: Case[] = [];
  @state() private loaded = false;
  @state() private failure = '';
  @state() private mine = false;
  @state() private show: Show = 'open';
  @state() private search = '';
  @state() private order: Order = { column: 'priority', descending: false };
  @state() private chosen = 0;
  @state() private now = Date.now();
  private ahead = 0; // the hub's clock minus ours, ms
  private ends: (() => void)[] = [];

  static override styles = [shared, tableStyles, caseRowStyles, css`
    :host {
      display: grid;
      grid-template-rows: auto auto minmax(0, 1fr);
      gap: 0.7rem;
      height: 100%;
      padding: 0.9rem;
    }
    .bar {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.6rem;
    }
    .bar input {
      width: 20rem;
    }
    .group {
      display: flex;
    }
    .group button {
      border-radius: 0;
      margin-left: -1px;
    }
    .group button:first-child {
      border-radius: var(--radius) 0 0 var(--radius);
    }
    .group button:last-child {
      border-radius: 0 var(--radius) var(--radius) 0;
    }
    .group button[aria-pressed='true'] {
      background: var(--accent-ground);
      color: var(--accent);
    }
    .keys {
      margin-left: auto;
      font-size: 0.86rem;
    }
    kbd {
      padding: 0 0.35em;
      border: 1px solid var(--line);
      border-radius: 4px;
      font: inherit;
    }
    .scroll {
      overflow: auto;
      border: 1px solid var(--line);
      border-radius: 10px;
      background: var(--surface);
    }
    .empty {
      padding: 3rem;
      text-align: center;
    }
  `];

  override connectedCallback(): void {
    super.connectedCallback();
    const timers = [
      window.setInterval(() => (this.now = Date.now()), TICK_MS),
      window.setInterval(() => void this.load('page'), REFRESH_MS),
    ];
    const onKey = (event: KeyboardEvent): void => this.key(event);
    window.addEventListener('keydown', onKey);
    this.ends = [
      listen('worklist', () => void this.load('page')),
      listen('case', () => void this.load('page')),
      listen('delivery', () => void this.load('page')),
      () => timers.forEach((timer) => window.clearInterval(timer)),
      () => window.removeEventListener('keydown', onKey),
    ];
    void this.load();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.ends.forEach((end) => end());
  }

  private async load(by: By = 'person'): Promise<void> {
    try {
      const { cases, now } = await api.worklist(this.mine, by);
      this.cases = cases;
      this.now = Date.now();
      this.ahead = Date.parse(now) - this.now;
      this.failure = '';
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
    this.loaded = true;
  }

  private get rows(): Case[] {
    return arrange(this.cases, this.show, this.search, this.order);
  }

  /** Like the lists radiologists know: j and k move, Enter opens, / searches. */
  private key(event: KeyboardEvent): void {
    const typing = event.composedPath().some((node) => node instanceof HTMLInputElement || node instanceof HTMLSelectElement);
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (typing) {
      if (event.key === 'Escape') {
        this.focusRow();
      }
      return;
    }
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      this.chosen = Math.max(0, Math.min(this.rows.length - 1, this.chosen + step));
      this.focusRow();
      event.preventDefault();
    } else if (event.key === '/') {
      this.renderRoot.querySelector('input')?.focus();
      event.preventDefault();
    } else if (event.key === 'Enter' && !this.onControl(event)) {
      this.open(this.rows[this.chosen]);
    }
  }

  private onControl(event: KeyboardEvent): boolean {
    return event.composedPath().some((node) => node instanceof HTMLButtonElement || node instanceof HTMLAnchorElement);
  }

  private focusRow(): void {
    void this.updateComplete.then(() => {
      this.renderRoot.querySelectorAll<HTMLElement>('tbody tr')[this.chosen]?.focus();
    });
  }

  private open(item: Case | undefined): void {
    if (item) {
      go({ page: 'case', id: item.id });
    }
  }

  private sort(column: Column): void {
    this.order = { column, descending: this.order.column === column && !this.order.descending };
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('search') || changed.has('show') || changed.has('mine')) {
      this.chosen = 0;
    }
  }

  override render() {
    const rows = this.rows;
    return html`
      <div class="bar">
        <h1 class="unseen">${t('nav.worklist')}</h1>
        ${this.choice(t('worklist.whose'), this.mine ? 'mine' : 'all', [['all', t('worklist.all')], ['mine', t('worklist.mine')]], (value) => {
          this.mine = value === 'mine';
          void this.load();
        })}
        ${this.choice(
          t('worklist.show'),
          this.show,
          [['open', t('worklist.open')], ['reported', t('worklist.reported')], ['all', t('worklist.both')]],
          (value) => (this.show = value as Show),
        )}
        <input type="search" aria-label=${t('worklist.search')} placeholder=${t('worklist.search')}
          .value=${this.search} @input=${(event: Event) => (this.search = (event.target as HTMLInputElement).value)} />
        ${this.summary()}
        ${READS.has(this.user.role)
          ? html`<button type="button" @click=${() => void this.renderRoot.querySelector<GlassDialog>('tr-glass')?.show()}>${t('glass.button')}</button>`
          : nothing}
        <span class="keys quiet"><kbd>j</kbd> <kbd>k</kbd> ${t('keys.move')} · <kbd>Enter</kbd> ${t('keys.open')} · <kbd>/</kbd> ${t('keys.search')}</span>
      </div>
      ${this.failure ? html`<p class="notice bad" role="alert">${t('error.load')} ${this.failure}</p>` : html`<span></span>`}
      <div class="scroll">
        ${rows.length
          ? this.table(rows)
          : html`<p class="empty quiet">${this.loaded ? t('worklist.empty') : t('loading')}</p>`}
      </div>
      <tr-glass></tr-glass>
    `;
  }

  private summary() {
    const open = this.cases.filter((item) => !isReported(item));
    const stat = open.filter((item) => item.priority === 'stat').length;
    const late = open.filter((item) => item.deadline && Date.parse(item.deadline) < this.now + this.ahead).length;
    return html`<span role="status" class="numbers">
      <span class="chip">${t('worklist.count', { number: open.length })}</span>
      ${stat ? html`<span class="chip stat">${t('worklist.stats', { number: stat })}</span>` : ''}
      ${late ? html`<span class="chip urgent">${t('worklist.late', { number: late })}</span>` : ''}
    </span>`;
  }

  private choice(label: string, chosen: string, choices: [string, string][], choose: (value: string) => void) {
    return html`<div class="group" role="group" aria-label=${label}>
      ${choices.map(
        ([value, name]) => html`<button type="button" aria-pressed=${value === chosen} @click=${() => choose(value)}>${name}</button>`,
      )}
    </div>`;
  }

  private table(rows: Case[]) {
    return html`<table>
      <thead>
        <tr>${COLUMNS.map((column) => this.head(column))}</tr>
      </thead>
      <tbody>
        ${rows.map((item, index) =>
          caseRow(item, this.now + this.ahead, index === this.chosen, {
            open: () => this.open(item),
            focus: () => (this.chosen = index),
          }),
        )}
      </tbody>
    </table>`;
  }

  private head(column: Column) {
    const sorted = this.order.column === column;
    const direction = this.order.descending ? 'descending' : 'ascending';
    return html`<th scope="col" aria-sort=${sorted ? direction : 'none'}>
      <button type="button" class="plain" @click=${() => this.sort(column)}>
        ${t(`column.${column}`)} <span aria-hidden="true">${sorted ? (this.order.descending ? '▾' : '▴') : ''}</span>
      </button>
    </th>`;
  }
}
