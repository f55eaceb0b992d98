// One's own account: passkeys, the app's codes, recovery codes, open sessions.
import { css, html, nothing } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { moment } from '../format.ts';
import { Localised, t } from '../i18n.ts';
import { scrolling, shared } from '../parts/styles.ts';
import { canPasskeys, makePasskey } from '../passkey.ts';
import type { OwnAccount, OwnSession, Passkey } from '../types.ts';

@customElement('tr-account')
export class AccountPage extends Localised {
  @state() private account: OwnAccount | null = null;
  @state() private codes: string[] = [];
  @state() private failure = '';

  static override styles = [
    shared,
    scrolling,
    css`
      :host {
        padding: 1.2rem;
      }
      section {
        max-width: 54rem;
        margin: 0 auto 1.2rem;
        padding: 1rem 1.2rem;
        border: 1px solid var(--line);
        border-radius: 10px;
        background: var(--surface);
      }
      h1 {
        max-width: 54rem;
        margin: 0 auto 1rem;
        font-size: 1.25rem;
        color: var(--strong);
      }
      ul {
        display: grid;
        gap: 0.5rem;
        margin: 0.8rem 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.8rem;
        padding-bottom: 0.5rem;
        border-bottom: 1px dotted var(--line);
      }
      li > span:first-child {
        flex: 1;
        min-width: 14rem;
        overflow-wrap: anywhere;
      }
      form {
        display: flex;
        flex-wrap: wrap;
        align-items: end;
        gap: 0.8rem;
      }
      .codes {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
        gap: 0.4rem;
        margin: 0.8rem 0;
      }
    `,
  ];

  override firstUpdated(): void {
    void this.attempt(() => Promise.resolve());
  }

  /** Do it, show what went wrong, and look again. */
  private async attempt(work: () => Promise<unknown>): Promise<void> {
    this.failure = '';
    try {
      await work();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
    try {
      this.account = await api.account();
    } catch (error) {
      this.failure ||= error instanceof Error ? error.message : String(error);
    }
  }

  private addPasskey(event: Event): void {
    event.preventDefault();
    const label = this.renderRoot.querySelector<HTMLInputElement>('[name=label]')?.value ?? '';
    const form = event.target as HTMLFormElement;
    void this.attempt(async () => {
      await api.addPasskey(await makePasskey(await api.beginPasskey()), label);
      form.reset();
    });
  }

  private renewCodes(): void {
    void this.attempt(async () => {
      this.codes = (await api.renewRecovery()).codes;
    });
  }

  override render() {
    const account = this.account;
    return html`
      <h1>${t('account.title')}</h1>
      ${this.failure ? html`<section class="notice bad" role="alert">${this.failure}</section>` : nothing}
      ${account
        ? html`
            ${this.passkeys(account.passkeys)} ${this.recovery(account)} ${this.sessions(account.sessions)}
          `
        : html`<section class="quiet">${t('loading')}</section>`}
    `;
  }

  private passkeys(known: Passkey[]) {
    return html`<section aria-labelledby="passkeys">
      <h2 id="passkeys">${t('account.passkeys')}</h2>
      <p class="quiet">${t('account.passkeys.what')}</p>
      <ul>
        ${known.map(
          (one) => html`<li>
            <span>${one.label}</span>
            <span class="quiet numbers">${t('account.used', { at: one.used_at ? moment(one.used_at) : '—' })}</span>
            <button type="button" aria-label=${t('account.remove.one', { name: one.label })} @click=${() => this.attempt(() => api.removePasskey(one.id))}>
              ${t('account.remove')}
            </button>
          </li>`,
        )}
      </ul>
      ${canPasskeys()
        ? html`<form @submit=${this.addPasskey}>
            <label>${t('account.label')}<br /><input name="label" maxlength="64" required /></label>
            <button class="main">${t('account.add')}</button>
          </form>`
        : html`<p class="notice warn">${t('account.cannot')}</p>`}
    </section>`;
  }

  private recovery(account: OwnAccount) {
    return html`<section aria-labelledby="recovery">
      <h2 id="recovery">${t('account.recovery')}</h2>
      <p class="quiet">
        ${t('account.recovery.what', { number: account.recovery_left })}
        ${account.totp ? t('account.totp') : t('account.nototp')}
      </p>
      ${this.codes.length
        ? html`<div class="notice" role="status">
            <p>${t('account.recovery.once')}</p>
            <div class="codes">${this.codes.map((code) => html`<code>${code}</code>`)}</div>
          </div>`
        : nothing}
      <p><button type="button" @click=${this.renewCodes}>${t('account.recovery.renew')}</button></p>
    </section>`;
  }

  private sessions(open: OwnSession[]) {
    return html`<section aria-labelledby="sessions">
      <h2 id="sessions">${t('account.sessions')}</h2>
      <ul>
        ${open.map(
          (one) => html`<li>
            <span>${one.agent || '—'}<br /><span class="quiet numbers">${one.address}</span></span>
            <span class="quiet numbers">${t('account.seen', { at: moment(one.seen_at) })}</span>
            ${one.current
              ? html`<span class="chip good">${t('account.this')}</span>`
              : html`<button type="button" aria-label=${t('account.end.one', { name: one.address })} @click=${() => this.attempt(() => api.endSession(one.id))}>
                  ${t('account.end')}
                </button>`}
          </li>`,
        )}
      </ul>
    </section>`;
  }
}
