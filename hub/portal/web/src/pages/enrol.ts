// Setting up the second factor: a QR code for the telephone, then one code as proof that it works.
import { css, html } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api, ApiError } from '../api.ts';
import { Localised, t } from '../i18n.ts';
import '../parts/qr.ts';
import { shared } from '../parts/styles.ts';

@customElement('tr-enrol')
export class Enrol extends Localised {
  @state() private secret = '';
  @state() private uri = '';
  @state() private failure = '';

  static override styles = [
    shared,
    css`
      :host {
        display: grid;
        place-content: center;
        min-height: 100vh;
      }
      form {
        display: grid;
        justify-items: center;
        gap: 1rem;
        width: 26rem;
        padding: 2rem;
        border: 1px solid var(--line);
        border-radius: 14px;
        background: var(--surface);
      }
      h1 {
        font-size: 1.3rem;
      }
      code {
        overflow-wrap: anywhere;
        letter-spacing: 0.08em;
      }
      input {
        width: 100%;
        font-size: 1.3rem;
        letter-spacing: 0.35em;
        text-align: center;
      }
    `,
  ];

  override async firstUpdated(): Promise<void> {
    try {
      ({ secret: this.secret, uri: this.uri } = await api.enrol());
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  private async confirm(event: Event): Promise<void> {
    event.preventDefault();
    const field = this.renderRoot.querySelector('input');
    try {
      await api.confirmEnrolment((field?.value ?? '').replace(/\s/g, ''));
      this.dispatchEvent(new CustomEvent('enrolled'));
    } catch (error) {
      const wrong = error instanceof ApiError && error.code === 'bad_credentials';
      this.failure = wrong ? t('enrol.wrong') : error instanceof Error ? error.message : String(error);
      field?.select();
    }
  }

  override render() {
    return html`<main>
      <form @submit=${this.confirm}>
        <h1>${t('enrol.title')}</h1>
        <p class="quiet">${t('enrol.how')}</p>
        ${this.uri ? html`<tr-qr .text=${this.uri} .label=${t('enrol.qr')}></tr-qr>` : ''}
        <p class="quiet">${t('enrol.secret')} <code>${this.secret}</code></p>
        <label
          >${t('login.code')}
          <input name="code" class="numbers" inputmode="numeric" autocomplete="one-time-code" maxlength="7" required autofocus
        /></label>
        ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : ''}
        <button class="main">${t('enrol.confirm')}</button>
      </form>
    </main>`;
  }
}
