// Showing the second factor again: before a signature, before changing one's factors, after single sign-on.
import { css, html, nothing } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api, ApiError } from '../api.ts';
import { t } from '../i18n.ts';
import { canPasskeys, showPasskey, type Json } from '../passkey.ts';
import { Dialog } from './dialog.ts';
import { shared } from './styles.ts';

@customElement('tr-step-up')
export class StepUp extends Dialog {
  @state() private passkey: Json | null = null;
  @state() private code = false;
  @state() private failure = '';
  private done: ((shown: boolean) => void) | null = null;

  static override styles = [
    shared,
    css`
      form {
        display: grid;
        gap: 0.8rem;
      }
      input {
        width: 100%;
        margin-top: 0.25rem;
      }
    `,
  ];

  /** Ask for it; whether it was shown. */
  async ask(): Promise<boolean> {
    this.failure = '';
    await this.begin();
    await this.show();
    return new Promise((resolve) => (this.done = resolve));
  }

  private async begin(): Promise<void> {
    try {
      ({ passkey: this.passkey, code: this.code } = await api.beginStepUp());
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  private finish(shown: boolean): void {
    this.done?.(shown);
    this.done = null;
    if (this.box?.open) {
      this.close();
    }
  }

  private async try(proof: () => Promise<{ code?: string; credential?: Json }>): Promise<void> {
    this.failure = '';
    try {
      await api.stepUp(await proof());
      this.finish(true);
    } catch (error) {
      const wrong = error instanceof ApiError && error.code === 'bad_credentials';
      this.failure = wrong ? t('stepup.wrong') : error instanceof Error ? error.message : String(error);
      await this.begin(); // a challenge is good once
    }
  }

  private submit(event: Event): void {
    event.preventDefault();
    const code = this.renderRoot.querySelector('input')?.value ?? '';
    void this.try(() => Promise.resolve({ code }));
  }

  private usePasskey(): void {
    const options = this.passkey;
    if (options) {
      void this.try(async () => ({ credential: await showPasskey(options) }));
    }
  }

  override render() {
    return html`<dialog aria-labelledby="title" @close=${() => this.finish(false)}>
      <h2 id="title">${t('stepup.title')}</h2>
      <form @submit=${this.submit}>
        <p class="quiet">${t('stepup.why')}</p>
        ${this.passkey && canPasskeys()
          ? html`<button type="button" class="main" autofocus @click=${this.usePasskey}>${t('stepup.passkey')}</button>`
          : nothing}
        ${this.code
          ? html`<label>${t('stepup.code')}<input name="code" class="numbers" autocomplete="one-time-code" maxlength="24" required /></label>`
          : nothing}
        ${!this.code && !this.passkey ? html`<p class="notice warn">${t('stepup.again')}</p>` : nothing}
        ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
        <div class="actions">
          <button type="button" @click=${() => this.finish(false)}>${t('cancel')}</button>
          ${this.code ? html`<button class=${this.passkey ? '' : 'main'}>${t('stepup.submit')}</button>` : nothing}
        </div>
      </form>
    </dialog>`;
  }
}
