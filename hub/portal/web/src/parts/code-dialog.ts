// Making a code by which one edge joins: asked for, then shown once, as text, as QR, and for paper.
import { css, html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { moment, span } from '../format.ts';
import { language, t } from '../i18n.ts';
import type { Edge, Invited } from '../types.ts';
import { command, printSheet, removeSheet } from './code-sheet.ts';
import { Dialog } from './dialog.ts';
import './qr.ts';
import { shared } from './styles.ts';

const HOURS = [1, 8, 24, 72, 168] as const;
const USUAL = 24;

@customElement('tr-code')
export class CodeDialog extends Dialog {
  @property({ attribute: false }) edges: Edge[] = [];
  @state() private made: Invited | null = null;
  @state() private replaced = '';
  @state() private copied = false;
  @state() private failure = '';

  static override styles = [
    shared,
    css`
      form {
        display: grid;
        grid-template-columns: repeat(3, minmax(0, 1fr));
        gap: 0.9rem;
      }
      h2:focus {
        outline: none;
      }
      form > .whole {
        grid-column: 1 / -1;
      }
      input,
      select {
        width: 100%;
        margin-top: 0.25rem;
      }
      .made {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: 0.9rem 1.2rem;
        align-items: start;
        margin: 0.9rem 0;
      }
      code {
        display: block;
        padding: 0.7rem 0.8rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--ground);
        font: 1rem/1.7 ui-monospace, 'DejaVu Sans Mono', monospace;
        overflow-wrap: anywhere;
        user-select: all;
      }
      .made p {
        margin-bottom: 0.3rem;
      }
      .made button {
        margin: 0.5rem 0.2rem 0 0;
      }
      @media (max-width: 700px) {
        form,
        .made {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];

  override async show(): Promise<void> {
    this.forget();
    await super.show();
  }

  /** A code is seen once: nothing of it stays in the page. */
  private forget(): void {
    this.made = null;
    this.copied = false;
    this.failure = '';
    this.replaced = '';
    removeSheet();
    this.renderRoot.querySelector('form')?.reset();
  }

  private value(name: string): string {
    return this.renderRoot.querySelector<HTMLInputElement | HTMLSelectElement>(`[name=${name}]`)?.value.trim() ?? '';
  }

  private look(): void {
    const [site, edge] = [this.value('site'), this.value('edge')];
    const held = this.edges.some((one) => one.site === site && one.edge === edge && one.state !== 'revoked');
    this.replaced = held ? `${site}/${edge}` : '';
  }

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    this.failure = '';
    try {
      this.made = await api.makeCode(this.value('site'), this.value('edge'), Number(this.value('hours')));
      this.dispatchEvent(new CustomEvent('done'));
      await this.updateComplete;
      this.renderRoot.querySelector<HTMLElement>('#title')?.focus();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  private async copy(text: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.copied = true;
    } catch {
      this.failure = t('code.nocopy'); // the code can be marked and copied by hand
    }
  }

  override render() {
    return html`<dialog aria-labelledby="title" @close=${this.forget}>
      ${this.made ? this.shown(this.made) : this.asked()}
      ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
    </dialog>`;
  }

  private asked() {
    const sites = [...new Set(this.edges.map((one) => one.site))].sort();
    return html`<h2 id="title">${t('code.title')}</h2>
      <form @submit=${this.submit} @input=${this.look}>
        <p class="whole quiet">${t('code.what')}</p>
        <label>${t('fleet.site')}
          <input name="site" list="sites" autocomplete="off" spellcheck="false" maxlength="32" pattern="[A-Za-z0-9_\\-]+" required autofocus />
          <datalist id="sites">${sites.map((site) => html`<option value=${site}></option>`)}</datalist>
        </label>
        <label>${t('fleet.number')}
          <input name="edge" inputmode="numeric" autocomplete="off" maxlength="6" pattern="[1-9][0-9]*" placeholder=${t('code.next')} />
        </label>
        <label>${t('code.hours')}
          <select name="hours">
            ${HOURS.map((hours) => html`<option value=${hours} ?selected=${hours === USUAL}>${span(hours * 3_600_000, language()).replace(':00', '')}</option>`)}
          </select>
        </label>
        ${this.replaced ? html`<p class="whole notice warn" role="status">${t('code.replaced', { edge: this.replaced })}</p>` : nothing}
        <div class="whole actions">
          <button type="button" @click=${() => this.close()}>${t('cancel')}</button>
          <button class="main">${t('code.make')}</button>
        </div>
      </form>`;
  }

  private shown(made: Invited) {
    const who = made.edge ? `${made.site}/${made.edge}` : made.site;
    return html`<h2 id="title" tabindex="-1">${t('code.made', { site: who })}</h2>
      <p class="notice warn">${t('code.once', { until: moment(made.expires_at) })}</p>
      <div class="made">
        <div>
          <p class="quiet">${t('code.code')}</p>
          <code data-code>${made.code}</code>
          <button type="button" @click=${() => this.copy(made.code)}>${t('code.copy')}</button>
          <button type="button" @click=${() => this.copy(command(made.code))}>${t('code.command')}</button>
          <button type="button" @click=${() => printSheet(made)}>${t('code.print')}</button>
          <span role="status" class="quiet">${this.copied ? t('code.copied') : ''}</span>
        </div>
        <tr-qr .text=${made.code} .label=${t('code.qr')}></tr-qr>
      </div>
      <p class="quiet">${t('code.how')}</p>
      <div class="actions"><button type="button" class="main" @click=${() => this.close()}>${t('close')}</button></div>`;
  }
}
