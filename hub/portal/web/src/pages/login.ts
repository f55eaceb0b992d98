// Logging in: name and password, then the code of the second factor, in one quiet form.
import { css, html } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api, ApiError } from '../api.ts';
import { LANGUAGES, Localised, language, setLanguage, t } from '../i18n.ts';
import { shared } from '../parts/styles.ts';
import { canPasskeys, showPasskey } from '../passkey.ts';

@customElement('tr-login')
export class Login extends Localised {
  @state() private askCode = false;
  @state() private failure = '';
  @state() private sso: string | null = null;
  @state() private busy = false;

  static override styles = [
    shared,
    css`
      :host {
        display: grid;
        place-content: center;
        min-height: 100vh;
        background: radial-gradient(60rem 40rem at 50% 20%, var(--raised), var(--ground));
      }
      form {
        display: grid;
        gap: 0.9rem;
        width: 22rem;
        padding: 2rem;
        border: 1px solid var(--line);
        border-radius: 14px;
        background: var(--surface);
        box-shadow: var(--shadow);
      }
      header {
        display: flex;
        align-items: center;
        gap: 0.7rem;
        margin-bottom: 0.4rem;
      }
      img {
        width: 40px;
        height: 40px;
      }
      h1 {
        font-size: 1.35rem;
        color: var(--strong);
      }
      input {
        width: 100%;
        margin-top: 0.25rem;
      }
      .code {
        font-size: 1.3rem;
        letter-spacing: 0.35em;
        text-align: center;
      }
      .sso {
        padding: 0.4rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        text-align: center;
        text-decoration: none;
      }
      .languages {
        display: flex;
        justify-content: center;
        gap: 0.4rem;
      }
    `,
  ];

  private field(name: string): string {
    return this.renderRoot.querySelector<HTMLInputElement>(`[name=${name}]`)?.value ?? '';
  }

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    this.busy = true;
    this.failure = '';
    try {
      const code = this.askCode ? this.field('code').replace(/\s/g, '') : undefined;
      const session = await api.logIn(this.field('username'), this.field('password'), code);
      this.dispatchEvent(new CustomEvent('logged-in', { detail: session }));
    } catch (error) {
      this.refused(error);
    } finally {
      this.busy = false;
    }
  }

  private refused(error: unknown): void {
    if (error instanceof ApiError && error.code === 'code_required' && !this.askCode) {
      this.askCode = true;
      void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLInputElement>('[name=code]')?.focus());
      return;
    }
    if (error instanceof ApiError && error.code === 'passkey_required') {
      this.failure = t('login.usepasskey');
      return;
    }
    const wrong = error instanceof ApiError && error.code === 'bad_credentials';
    this.failure = wrong ? t('login.wrong') : error instanceof Error ? error.message : String(error);
  }

  override firstUpdated(): void {
    this.renderRoot.querySelector<HTMLInputElement>('[name=username]')?.focus();
    if (window.location.hash.startsWith('#/sso-')) {
      this.failure = t('login.ssofailed');
    }
    void api.ways().then(({ sso }) => (this.sso = sso)).catch(() => undefined); // then there is only the form
  }

  private async passkey(): Promise<void> {
    this.busy = true;
    this.failure = '';
    try {
      const credential = await showPasskey(await api.beginPasskeyLogIn());
      this.dispatchEvent(new CustomEvent('logged-in', { detail: await api.logInWithPasskey(credential) }));
    } catch (error) {
      const refused = error instanceof DOMException || (error instanceof ApiError && error.code === 'bad_credentials');
      this.failure = refused ? t('login.nopasskey') : error instanceof Error ? error.message : String(error);
    } finally {
      this.busy = false;
    }
  }

  override render() {
    return html`
      <main>
        <form @submit=${this.submit}>
          <header>
            <img src="/icon.svg" alt="" />
            <div>
              <h1>Telerad</h1>
              <p class="quiet">${t('login.subtitle')}</p>
            </div>
          </header>
          <label>${t('login.username')}<input name="username" autocomplete="username" required /></label>
          <label
            >${t('login.password')}<input name="password" type="password" autocomplete="current-password" required
          /></label>
          ${this.askCode ? this.codeField() : ''}
          ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : ''}
          <button class="main" ?disabled=${this.busy}>${t('login.submit')}</button>
          ${canPasskeys()
            ? html`<button type="button" ?disabled=${this.busy} @click=${this.passkey}>${t('login.passkey')}</button>`
            : ''}
          ${this.sso ? html`<a class="sso" href="/api/oidc/login">${this.sso}</a>` : ''}
          <div class="languages">${Object.entries(LANGUAGES).map(([code, name]) => this.languageButton(code, name))}</div>
        </form>
      </main>
    `;
  }

  private codeField() {
    return html`<label
      >${t('login.code')}<input
        class="code numbers"
        name="code"
        autocomplete="one-time-code"
        maxlength="24"
        required
    /></label>`;
  }

  private languageButton(code: string, name: string) {
    const chosen = code === language();
    return html`<button
      type="button"
      class="plain ${chosen ? '' : 'quiet'}"
      aria-pressed=${chosen}
      lang=${code}
      @click=${() => setLanguage(code)}
    >
      ${name}
    </button>`;
  }
}
