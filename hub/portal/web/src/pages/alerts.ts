// What the hub found that a person must look at: what, since when, and what to do; and what is over.
import { css, html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { api, type By } from '../api.ts';
import { listen } from '../events.ts';
import { moment, span } from '../format.ts';
import { language, Localised, t, word } from '../i18n.ts';
import type { ActDialog } from '../parts/act-dialog.ts';
import '../parts/act-dialog.ts';
import { scrolling, shared } from '../parts/styles.ts';
import { instead, list, listStyles } from '../parts/table.ts';
import type { Alert } from '../types.ts';

const waits = (one: Alert): boolean => !one.acknowledged_at && !one.ended_at;
const where = (one: Alert): string => (one.edge ? `${one.site}/${one.edge}` : one.site || t('alert.hub'));

/** A fact: moments and spans as people read them. */
function shown(name: string, value: unknown): unknown {
  if (name === 'seconds') return span(Number(value) * 1000, language());
  return /^\d{4}-\d\d-\d\dT/.test(String(value)) ? moment(String(value)) : value;
}

/** What was found, in the reader's language where we have the words, else in the hub's. */
function found(one: Alert): string {
  const key = `${one.kind}.what`;
  const facts = Object.entries(one.facts).map(([name, value]) => [name, shown(name, value)]);
  const said = word('alert', key, Object.fromEntries(facts) as Record<string, string>);
  if (said !== key) return said;
  return language() === 'zh' ? one.words_zh : one.words;
}

@customElement('tr-alerts')
export class AlertsPage extends Localised {
  @property({ type: Boolean }) acts = false; // or only to look at
  @state() private alerts: Alert[] | null = null;
  @state() private failure = '';
  private end: () => void = () => undefined;

  static override styles = [
    shared,
    scrolling,
    listStyles,
    css`
      td.where {
        min-width: 6rem;
      }
      .found::first-letter {
        text-transform: uppercase;
      }
      .found {
        margin-top: 0.2rem;
        max-width: 44rem;
        overflow-wrap: anywhere;
      }
      tr[data-severity='alarm'] td:first-child {
        box-shadow: inset 3px 0 0 var(--stat);
      }
      tr[data-severity='warning'] td:first-child {
        box-shadow: inset 3px 0 0 var(--urgent);
      }
      td button {
        white-space: nowrap;
      }
      details {
        margin-top: 1rem;
      }
      summary {
        padding: 0.4rem 0.2rem;
        color: var(--quiet);
        cursor: pointer;
      }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    this.end = listen('alert', () => void this.look('page'));
    void this.look('person');
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.end();
  }

  private async look(by: By): Promise<void> {
    try {
      this.alerts = (await api.alerts(by)).alerts;
      this.failure = '';
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  private acknowledge(one: Alert): void {
    void this.renderRoot.querySelector<ActDialog>('tr-act')?.ask({
      title: t('ack.title'),
      words: [`${where(one)}: ${word('alert', one.kind)}`, t('ack.what')],
      reason: t('ack.reason'),
      send: t('ack.send'),
      run: async (reason) => {
        await api.acknowledge(one.id, reason);
        await this.look('page');
      },
    });
  }

  override render() {
    const { alerts } = this;
    if (!alerts) {
      return instead(this.failure, t('loading'));
    }
    const [open, over] = [alerts.filter(waits), alerts.filter((one) => !waits(one))];
    const columns = [t('alert.what'), t('alert.where'), t('alert.since'), t('alert.do')];
    return html`${this.failure ? instead(this.failure, '') : nothing}
      ${open.length
        ? html`<div class="scroll" tabindex="0" role="region" aria-label=${t('alert.open')}>
            ${list(columns, open.map((one) => this.waiting(one)), this.acts ? t('admin.acts') : '')}
          </div>`
        : html`<p class="notice" role="status">${t('alert.none')}</p>`}
      ${over.length ? this.past(over) : nothing}<tr-act></tr-act>`;
  }

  private what(one: Alert) {
    return html`<span class="chip ${one.severity === 'alarm' ? 'stat' : 'urgent'}">${word('severity', one.severity)}</span>
      <strong>${word('alert', one.kind)}</strong>
      <p class="found">${found(one)}</p>`;
  }

  private waiting(one: Alert) {
    const past = Date.now() - Date.parse(one.at);
    const stands = past < 60_000 ? t('fleet.justnow') : t('alert.for', { span: span(past, language()) });
    const often = one.times > 1 ? t('alert.times', { times: one.times, last: moment(one.last_at) }) : '';
    return html`<tr data-alert=${one.id} data-severity=${one.severity}>
      <td class="wide">${this.what(one)}</td>
      <td class="where">${where(one)}</td>
      <td class="numbers short">${moment(one.at)}<span class="quiet">${stands}</span><span class="quiet">${often}</span></td>
      <td class="wide">${word('alert', `${one.kind}.do`)}</td>
      ${this.acts
        ? html`<td>
            <button type="button" @click=${() => this.acknowledge(one)}>
              ${t('ack.button')}<span class="unseen"> ${word('alert', one.kind)}, ${where(one)}</span>
            </button>
          </td>`
        : nothing}
    </tr>`;
  }

  private past(over: Alert[]) {
    const columns = [t('alert.what'), t('alert.where'), t('alert.since'), t('alert.how')];
    return html`<details>
      <summary>${t('alert.past', { number: over.length })}</summary>
      <div class="scroll">${list(columns, over.map((one) => this.overRow(one)))}</div>
    </details>`;
  }

  private overRow(one: Alert) {
    return html`<tr data-alert=${one.id}>
      <td class="wide">${this.what(one)}</td>
      <td class="where">${where(one)}</td>
      <td class="numbers short">${moment(one.at)}</td>
      <td class="wide">
        ${one.acknowledged_at
          ? html`<p>${t('alert.by', { name: one.acknowledged_by ?? '', at: moment(one.acknowledged_at) })}</p><p>${one.reason}</p>`
          : nothing}
        ${one.ended_at ? html`<p class="quiet">${t('alert.ended', { at: moment(one.ended_at) })}</p>` : nothing}
      </td>
    </tr>`;
  }
}
