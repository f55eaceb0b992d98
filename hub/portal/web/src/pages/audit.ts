// The auditor's page: who did what, when, to which study. Filtered, page by page, or as a table to take away.
import { css, html, nothing } from 'lit';
import { customElement, state } from 'lit/decorators.js';
import { api } from '../api.ts';
import { moment } from '../format.ts';
import { Localised, t, word } from '../i18n.ts';
import { shared } from '../parts/styles.ts';
import { instead, list, listStyles } from '../parts/table.ts';
import type { AuditEvent } from '../types.ts';

const FIELDS = ['since', 'until', 'person', 'study', 'event'] as const;

/** What a date field means: the whole of both days, in the viewer's own time. */
function bound(name: string, day: string): string {
  const at = new Date(`${day}T00:00:00`);
  if (name === 'until') {
    at.setDate(at.getDate() + 1);
  }
  return at.toISOString();
}

function said(detail: Record<string, unknown>): string {
  return Object.entries(detail)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' · ');
}

@customElement('tr-audit')
export class AuditPage extends Localised {
  @state() private events: AuditEvent[] = [];
  @state() private kinds: string[] = [];
  @state() private next: number | null = null;
  @state() private failure = '';
  @state() private loaded = false;
  private asked = new URLSearchParams();

  static override styles = [
    shared,
    listStyles,
    css`
      :host {
        display: grid;
        grid-template-rows: auto minmax(0, 1fr);
        gap: 0.8rem;
        height: 100%;
      }
      form {
        display: flex;
        flex-wrap: wrap;
        align-items: end;
        gap: 0.7rem;
      }
    `,
  ];

  override firstUpdated(): void {
    void this.load(new URLSearchParams());
  }

  private query(): URLSearchParams {
    const query = new URLSearchParams();
    for (const name of FIELDS) {
      const value = this.renderRoot.querySelector<HTMLInputElement | HTMLSelectElement>(`[name=${name}]`)?.value.trim();
      if (value) {
        query.set(name, name === 'since' || name === 'until' ? bound(name, value) : value);
      }
    }
    return query;
  }

  private async load(query: URLSearchParams, more = false): Promise<void> {
    this.failure = '';
    try {
      const page = await api.audit(query);
      this.events = more ? [...this.events, ...page.events] : page.events;
      this.kinds = page.kinds;
      this.next = page.next;
      this.loaded = true;
      if (!more) {
        this.asked = query;
      }
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  private search(event: Event): void {
    event.preventDefault();
    void this.load(this.query());
  }

  private more(): void {
    const query = new URLSearchParams(this.asked);
    query.set('before', String(this.next));
    void this.load(query, true);
  }

  override render() {
    return html`
      <form role="search" @submit=${this.search}>
        <label>${t('audit.since')}<br /><input name="since" type="date" /></label>
        <label>${t('audit.until')}<br /><input name="until" type="date" /></label>
        <label>${t('audit.person')}<br /><input name="person" maxlength="64" /></label>
        <label>${t('audit.study')}<br /><input name="study" maxlength="128" /></label>
        <label>${t('audit.event')}<br />
          <select name="event">
            <option value="">${t('audit.any')}</option>
            ${this.kinds.map((kind) => html`<option value=${kind}>${word('event', kind)}</option>`)}
          </select>
        </label>
        <button class="main">${t('audit.search')}</button>
        <a href="/api/audit/events.csv?${this.asked.toString()}" download="audit.csv">${t('audit.csv')}</a>
      </form>
      <div class="scroll" tabindex="0" role="region" aria-label=${t('nav.audit')}>
        ${this.failure ? instead(this.failure, '') : nothing}
        ${this.events.length ? this.table() : instead('', this.loaded ? t('admin.none') : t('loading'))}
        ${this.next === null ? nothing : html`<p class="empty"><button type="button" @click=${this.more}>${t('audit.more')}</button></p>`}
      </div>
    `;
  }

  private table() {
    const columns = [t('audit.at'), t('audit.event'), t('audit.person'), t('audit.address'), t('audit.study'), t('audit.detail')];
    return list(columns, this.events.map((one) => this.row(one)));
  }

  private row(one: AuditEvent) {
    return html`<tr>
      <td class="numbers short">${moment(one.at)}</td>
      <td class="short">
        ${word('event', one.event)} ${one.outcome ? html`<span class="chip stat">${t('audit.refused')}</span>` : nothing}
        <br /><span class="quiet">${one.dicom}</span>
      </td>
      <td class="short">${one.person || '—'}<br /><span class="quiet">${one.role ? word('role', one.role) : ''}</span></td>
      <td class="numbers short">${one.address || '—'}</td>
      <td class="wide">${one.study_uid || one.site || '—'}<br /><span class="quiet">${one.patient_id}</span></td>
      <td class="wide">${said(one.detail)}</td>
    </tr>`;
  }
}
