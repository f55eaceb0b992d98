// How many alerts wait, in the head of every page of those who may see them.
import { css, html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { listen } from '../events.ts';
import { Localised, t } from '../i18n.ts';
import { shared } from './styles.ts';

const REFRESH_MS = 60_000;

@customElement('tr-alert-count')
export class AlertCount extends Localised {
  @property({ type: Boolean }) here = false; // the page they are on is shown
  @state() private counts = { alarm: 0, warning: 0 };
  private ends: (() => void)[] = [];

  static override styles = [
    shared,
    css`
      a {
        display: inline-block;
        padding: 0.3rem 0.7rem;
        border-radius: var(--radius);
        color: var(--quiet);
        text-decoration: none;
      }
      a[aria-current='page'] {
        background: var(--accent-ground);
        color: var(--accent);
      }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    const again = (): void => void this.look();
    const timer = window.setInterval(again, REFRESH_MS);
    this.ends = [listen('alert', again), () => window.clearInterval(timer)];
    again();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.ends.forEach((end) => end());
  }

  private async look(): Promise<void> {
    try {
      this.counts = await api.countAlerts();
    } catch {
      // the hub is away: the number stays until it is back
    }
  }

  override render() {
    const { alarm, warning } = this.counts;
    const number = alarm + warning;
    return html`<a href="#/admin/alerts" aria-current=${this.here ? 'page' : 'false'}
      >${t('nav.alerts')}
      <span role="status">${number
        ? html`<span class="chip ${alarm ? 'stat' : 'urgent'}">${number}<span class="unseen"> ${t('alert.waiting')}</span></span>`
        : nothing}</span></a
    >`;
  }
}
