// The report being written: one field a section, saved on every edit, the state of saving always in sight.
import { css, html, nothing } from 'lit';
import { customElement, property, state } from 'lit/decorators.js';
import type { ViewerMeasurement } from '../../ohif/messages.ts';
import type { DraftKeeper } from '../draft/keeper.ts';
import type { Section } from '../draft/join.ts';
import { clock } from '../format.ts';
import { LANGUAGES, Localised, t } from '../i18n.ts';
import type { Body } from '../types.ts';
import { asLines } from './measurements.ts';
import { shared } from './styles.ts';

const WRITTEN: Section[] = ['technique', 'comparison', 'findings', 'impression'];

@customElement('tr-editor')
export class Editor extends Localised {
  @property({ attribute: false }) keeper!: DraftKeeper;
  @property({ attribute: false }) measured: readonly ViewerMeasurement[] = [];
  @property({ type: Number }) version = 0; // changes whenever the keeper's state does
  @state() private failure = '';

  static override styles = [
    shared,
    css`
      form {
        display: grid;
        gap: 0.65rem;
      }
      label {
        font-size: 0.86rem;
        font-weight: 600;
        color: var(--quiet);
      }
      textarea {
        display: block;
        width: 100%;
        margin-top: 0.2rem;
        font-size: 1rem;
        font-weight: 400;
        line-height: 1.5;
        color: var(--strong);
        resize: vertical;
        field-sizing: content;
        min-height: 2.6rem;
      }
      textarea[name='findings'] {
        min-height: 9rem;
      }
      textarea[name='impression'] {
        min-height: 5rem;
      }
      .row {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.6rem;
      }
      .critical {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        color: var(--text);
      }
      .critical input {
        width: 1.1rem;
        height: 1.1rem;
        accent-color: var(--stat);
      }
      .status {
        margin-left: auto;
      }
      .status.bad {
        color: var(--stat);
      }
      .status.saved {
        color: var(--good);
      }
    `,
  ];

  private edit(change: Partial<Body>): void {
    try {
      this.keeper.edit(change);
      this.failure = '';
    } catch (error) {
      // The browser's store is full or closed; the hub still gets the text.
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  private insertMeasurements(): void {
    const findings = this.keeper.body.findings.trimEnd();
    this.edit({ findings: [findings, asLines(this.measured)].filter(Boolean).join('\n') });
  }

  override render() {
    const { body } = this.keeper;
    const lines = asLines(this.measured);
    return html`<form @submit=${(event: Event) => event.preventDefault()}>
      ${WRITTEN.map((section) => this.section(section, body[section]))}
      <div class="row">
        <label class="critical"
          ><input type="checkbox" name="critical" .checked=${body.critical}
            @change=${(event: Event) => this.edit({ critical: (event.target as HTMLInputElement).checked })} />
          ${t('section.critical')}</label>
        ${lines
          ? html`<button type="button" @click=${this.insertMeasurements}>
              ${t('measure.insert', { number: lines.split('\n').length })}
            </button>`
          : nothing}
        <select name="language" aria-label=${t('report.language')}
          @change=${(event: Event) => this.edit({ language: (event.target as HTMLSelectElement).value })}>
          ${Object.entries(LANGUAGES).map(
            ([code, name]) => html`<option value=${code} ?selected=${code === body.language}>${name}</option>`,
          )}
        </select>
        ${this.status()}
      </div>
    </form>`;
  }

  private section(section: Section, text: string) {
    return html`<label
      >${t(`section.${section}`)}<textarea
        name=${section}
        rows="1"
        .value=${text}
        @input=${(event: Event) => this.edit({ [section]: (event.target as HTMLTextAreaElement).value })}
      ></textarea
    ></label>`;
  }

  private status() {
    const { status } = this.keeper;
    if (this.failure) {
      return html`<span class="status bad" role="status">${t('save.nostore')} ${this.failure}</span>`;
    }
    switch (status.kind) {
      case 'saved':
        return html`<span class="status saved numbers" role="status">${t('save.saved', { at: clock(status.at, true) })}</span>`;
      case 'failed':
        return html`<span class="status bad" role="status">${t('save.failed')} ${status.why}</span>`;
      case 'conflict':
        return html`<span class="status bad" role="status">${t('save.conflict')}</span>`;
      case 'kept':
        return html`<span class="status quiet" role="status">${t('save.saving')}</span>`;
      default:
        return html`<span class="status quiet" role="status">${t('save.empty')}</span>`;
    }
  }
}
