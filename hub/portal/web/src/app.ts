// The portal's frame: who is logged in, where we are, the bar at the top.
import { css, html } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api, ApiError, whenSessionEnds, whenStepUp } from './api.ts';
import { connect, disconnect } from './events.ts';
import { LANGUAGES, Localised, language, setLanguage, t, word } from './i18n.ts';
import './pages/account.ts';
import './pages/admin.ts';
import './pages/enrol.ts';
import './pages/login.ts';
import './pages/reading.ts';
import './pages/worklist.ts';
import './parts/alert-count.ts';
import type { StepUp } from './parts/step-up.ts';
import './parts/step-up.ts';
import { shared } from './parts/styles.ts';
import { parseRoute, tablesOf, type Route } from './route.ts';
import type { Session } from './types.ts';

const THEME = 'telerad.theme';

function setTheme(theme: string): void {
  document.documentElement.dataset['theme'] = theme;
  localStorage.setItem(THEME, theme);
}

@customElement('tr-app')
export class App extends Localised {
  @state() private session: Session | null = null;
  @state() private known = false;
  @state() private route: Route = parseRoute(window.location.hash);
  @state() private theme = localStorage.getItem(THEME) ?? 'dark';

  static override styles = [
    shared,
    css`
      :host {
        display: grid;
        grid-template: auto minmax(0, 1fr) / minmax(0, 1fr);
        height: 100vh;
      }
      main {
        min-height: 0;
      }
      header {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        height: 44px;
        padding: 0 0.9rem;
        border-bottom: 1px solid var(--line);
        background: var(--surface);
        white-space: nowrap;
      }
      @media (max-width: 700px) {
        header {
          overflow-x: auto;
        }
        .name,
        header > span,
        .own > span {
          display: none;
        }
      }
      header img {
        width: 24px;
        height: 24px;
      }
      .name {
        margin-right: 0.8rem;
        font-weight: 700;
        color: var(--strong);
      }
      nav {
        display: flex;
        flex: 1;
        gap: 0.2rem;
      }
      nav a {
        padding: 0.3rem 0.7rem;
        border-radius: var(--radius);
        color: var(--quiet);
        text-decoration: none;
      }
      nav a[aria-current='page'] {
        background: var(--accent-ground);
        color: var(--accent);
      }
      select,
      header button {
        padding: 0.2rem 0.5rem;
      }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    setTheme(this.theme);
    setLanguage(language());
    window.addEventListener('hashchange', () => (this.route = parseRoute(window.location.hash)));
    whenSessionEnds(() => this.leave());
    whenStepUp(() => this.stepUp());
    void this.resume();
  }

  private async resume(): Promise<void> {
    try {
      this.enter(await api.session());
    } catch {
      this.session = null; // not logged in, or the hub is away: the log-in page tells which
    }
    this.known = true;
  }

  private enter(session: Session): void {
    this.session = session;
    if (session.user.language) {
      setLanguage(session.user.language);
    }
    if (session.second_factor === 'unproved') {
      void this.prove();
    } else if (session.second_factor !== 'required') {
      connect();
    }
  }

  private async stepUp(): Promise<boolean> {
    return (await this.renderRoot.querySelector<StepUp>('tr-step-up')?.ask()) ?? false;
  }

  /** After single sign-on: the factor set up here comes before anything else. */
  private async prove(): Promise<void> {
    await this.updateComplete;
    if (await this.stepUp()) {
      await this.resume();
    } else {
      await this.logOut();
    }
  }

  private leave(): void {
    disconnect();
    this.session = null;
  }

  private async logOut(): Promise<void> {
    try {
      await api.logOut();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) {
        throw error; // still logged in
      }
    }
    window.location.hash = '';
    this.leave();
  }

  private async chooseLanguage(event: Event): Promise<void> {
    const chosen = (event.target as HTMLSelectElement).value;
    setLanguage(chosen);
    await api.setLanguage(chosen);
  }

  private switchTheme(): void {
    this.theme = this.theme === 'dark' ? 'light' : 'dark';
    setTheme(this.theme);
  }

  override render() {
    if (!this.known) {
      return html``;
    }
    if (!this.session) {
      return html`<tr-login @logged-in=${(event: CustomEvent<Session>) => this.enter(event.detail)}></tr-login>`;
    }
    if (this.session.second_factor === 'required') {
      return html`<tr-enrol @enrolled=${this.resume}></tr-enrol>`;
    }
    if (this.session.second_factor === 'unproved') {
      return html`<main></main><tr-step-up></tr-step-up>`;
    }
    return html`${this.bar(this.session)}<main>${this.page(this.session)}</main><tr-step-up></tr-step-up>`;
  }

  private page(session: Session) {
    switch (this.route.page) {
      case 'case':
        return html`<tr-reading .caseId=${this.route.id} .user=${session.user}></tr-reading>`;
      case 'admin':
        return html`<tr-admin .table=${this.adminTable(session, this.route.table)} .viewer=${session.user.role}></tr-admin>`;
      case 'account':
        return html`<tr-account></tr-account>`;
      default:
        return html`<tr-worklist .user=${session.user}></tr-worklist>`;
    }
  }

  private adminTable(session: Session, table: string): string {
    const seen = tablesOf(session.user.role);
    return seen.includes(table) ? table : (seen[0] ?? table);
  }

  private bar({ user }: Session) {
    const [first] = tablesOf(user.role);
    const atAlerts = this.route.page === 'admin' && this.route.table === 'alerts';
    const here = (page: string): string | undefined => (this.route.page === page ? 'page' : undefined);
    return html`<header>
      <img src="/icon.svg" alt="" /><span class="name">Telerad</span>
      <nav aria-label=${t('nav.label')}>
        <a href="#/" aria-current=${here('worklist') ?? 'false'}>${t('nav.worklist')}</a>
        ${first
          ? html`<a href="#/admin/${first}" aria-current=${atAlerts ? 'false' : (here('admin') ?? 'false')}>${user.role === 'auditor' || user.role === 'admin' ? t('nav.admin') : t('nav.audit')}</a>`
          : ''}
        ${tablesOf(user.role).includes('alerts') ? html`<tr-alert-count ?here=${atAlerts}></tr-alert-count>` : ''}
      </nav>
      <a class="own" href="#/account" aria-current=${here('account') ?? 'false'}>${user.display_name} <span class="quiet">${word('role', user.role)}</span></a>
      <select aria-label=${t('nav.language')} @change=${this.chooseLanguage}>
        ${Object.entries(LANGUAGES).map(
          ([code, name]) => html`<option value=${code} ?selected=${code === language()}>${name}</option>`,
        )}
      </select>
      <button type="button" @click=${this.switchTheme} aria-pressed=${this.theme === 'light'}>
        ${this.theme === 'dark' ? t('nav.light') : t('nav.dark')}
      </button>
      <button type="button" @click=${this.logOut}>${t('nav.logout')}</button>
    </header>`;
  }
}
