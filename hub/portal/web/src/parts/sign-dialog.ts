// Signing: shows exactly what will be signed, asks for the signing passphrase, which is not the log-in password.
import { css, html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { ApiError } from '../api.ts';
import { emptyBody } from '../draft/keeper.ts';
import { SECTIONS, type Section } from '../draft/join.ts';
import { language, t } from '../i18n.ts';
import type { Body, Report } from '../types.ts';
import { Dialog } from './dialog.ts';
import { fields, shared } from './styles.ts';

export type Sign = (body: Body, passphrase: string) => Promise<Report>;

@customElement('tr-sign')
export class SignDialog extends Dialog {
  @property({ attribute: false }) body: Body = emptyBody(language());
  @property({ attribute: false }) warnings: string[] = [];
  @property() who = '';
  @property({ type: Boolean }) addendum = false;
  @property({ attribute: false }) sign!: Sign;
  @state() private text = '';
  @state() private failure = '';
  @state() private busy = false;

  static override styles = [
    shared,
    fields,
    css`
      .paper {
        max-height: 42vh;
        overflow: auto;
        padding: 0.8rem 1rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--ground);
      }
      h3 {
        margin: 0.5rem 0 0.1rem;
        font-size: 0.82rem;
        color: var(--quiet);
      }
      .text {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      textarea {
        min-height: 8rem;
      }
    `,
  ];

  override async show(): Promise<void> {
    this.failure = '';
    this.text = '';
    const field = this.renderRoot.querySelector<HTMLInputElement>('[name=passphrase]');
    if (field) {
      field.value = '';
    }
    await super.show();
  }

  private get signed(): Body {
    return this.addendum
      ? { ...emptyBody(this.body.language), impression: this.text }
      : this.body;
  }

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    const field = this.renderRoot.querySelector<HTMLInputElement>('[name=passphrase]');
    this.busy = true;
    this.failure = '';
    try {
      const report = await this.sign(this.signed, field?.value ?? '');
      this.close();
      this.dispatchEvent(new CustomEvent<Report>('signed', { detail: report }));
    } catch (error) {
      const wrong = error instanceof ApiError && error.status === 403 && error.message.includes('passphrase');
      this.failure = wrong ? t('sign.wrong') : error instanceof Error ? error.message : String(error);
      field?.select();
    } finally {
      this.busy = false;
    }
  }

  override render() {
    return html`<dialog aria-labelledby="title">
      <h2 id="title">${this.addendum ? t('addendum.title') : t('sign.title')}</h2>
      <form @submit=${this.submit}>
        ${this.warnings.map((warning) => html`<p class="notice warn">${warning}</p>`)}
        ${this.addendum ? this.addendumText() : this.paper()}
        <label
          >${t('sign.passphrase')}<input name="passphrase" type="password" autocomplete="off" ?autofocus=${!this.addendum} required
        /></label>
        ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
        <div class="actions">
          <button type="button" @click=${() => this.close()}>${t('cancel')}</button>
          <button class="main" ?disabled=${this.busy}>
            ${this.busy ? t('sign.busy') : t('sign.as', { name: this.who })}
          </button>
        </div>
      </form>
    </dialog>`;
  }

  private paper() {
    const said: Section[] = SECTIONS.filter((section) => this.body[section].trim());
    return html`<div class="paper" tabindex="0" role="region" aria-label=${t('sign.what')}>
      ${this.body.critical ? html`<p class="notice bad">${t('section.critical')}</p>` : nothing}
      ${said.map((section) => html`<h3>${t(`section.${section}`)}</h3><p class="text">${this.body[section]}</p>`)}
    </div>`;
  }

  private addendumText() {
    return html`<label
      >${t('addendum.text')}<textarea
        name="addendum"
        autofocus
        required
        .value=${this.text}
        @input=${(event: Event) => (this.text = (event.target as HTMLTextAreaElement).value)}
      ></textarea
    ></label>`;
  }
}
