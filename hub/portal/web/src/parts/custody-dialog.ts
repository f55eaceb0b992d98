// The way of a study: who had it when, each moment proven by a signature or by the custody log.
import { css, html, nothing } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { moment } from '../format.ts';
import { t, type Key, word } from '../i18n.ts';
import type { Custody, CustodyMoment } from '../types.ts';
import { Dialog } from './dialog.ts';
import { shared } from './styles.ts';

const PREFIX = 'spiffe://telerad/'; // what every device name begins with, and nobody need read

@customElement('tr-custody')
export class CustodyDialog extends Dialog {
  @state() private custody: Custody | null = null;
  @state() private failure = '';

  static override styles = [
    shared,
    css`
      dialog {
        width: min(52rem, 94vw);
      }
      ol {
        margin: 0.6rem 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: grid;
        grid-template-columns: 10rem 1fr auto;
        gap: 0.8rem;
        padding: 0.25rem 0;
        border-top: 1px solid var(--line);
        overflow-wrap: anywhere;
      }
      code {
        overflow-wrap: anywhere;
      }
    `,
  ];

  async load(id: number): Promise<void> {
    this.custody = null;
    this.failure = '';
    await this.show();
    try {
      this.custody = await api.custody(id);
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  override render() {
    return html`<dialog aria-labelledby="title" aria-busy=${String(!this.custody && !this.failure)}>
      <h2 id="title">${t('custody.title')}</h2>
      ${this.custody ? this.found(this.custody) : nothing}
      ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
      ${!this.custody && !this.failure ? html`<p class="quiet">${t('loading')}</p>` : nothing}
      <div class="actions"><button type="button" @click=${() => this.close()}>${t('close')}</button></div>
    </dialog>`;
  }

  private found(custody: Custody) {
    const { instances, parcels, witnesses, log } = custody;
    const seen = witnesses.map((name) => name.replace(PREFIX, '')).join(', ');
    return html`
      <p class="notice">${t('custody.holds', { images: instances, parcels, entries: log.size })}
        ${seen ? t('custody.seen', { witnesses: seen }) : t('custody.unseen')}</p>
      <ol>
        ${custody.timeline.map((item) => this.line(item))}
      </ol>
      <p class="quiet">${t('custody.root')} <code>${log.root}</code></p>
    `;
  }

  private line(item: CustodyMoment) {
    const facts = Object.fromEntries(
      Object.entries(item.facts).map(([name, value]) => [name, said(value)]),
    );
    const known = word('custody', item.event) !== item.event;
    return html`<li>
      <time class="numbers" datetime=${item.at}>${moment(item.at)}</time>
      <span>${known ? t(`custody.${item.event}` as Key, facts) : item.words}</span>
      <span class="quiet numbers">${item.entry === null ? t('custody.signed') : t('custody.entry', { number: item.entry })}</span>
    </li>`;
  }
}

function said(value: string | number): string {
  const text = String(value);
  return /^\d{4}-\d\d-\d\dT/.test(text) ? moment(text) : text.replace(PREFIX, '');
}
