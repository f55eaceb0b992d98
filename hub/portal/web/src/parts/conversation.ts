// What reader and hospital wrote to each other about a case; it is asked for anew whenever the case changes.
import { css, html, nothing, type PropertyValues } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import { api, ApiError } from '../api.ts';
import { listen } from '../events.ts';
import { clock } from '../format.ts';
import { Localised, language, t, word } from '../i18n.ts';
import type { Conversation, Message, User } from '../types.ts';
import { modalityChip } from './modality.ts';
import { shared } from './styles.ts';

const WRITES = new Set(['reader', 'lead']);
const LONGEST = 2000;

function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

@customElement('tr-conversation')
export class ConversationView extends Localised {
  @property({ type: Number }) caseId = 0;
  @property({ attribute: false }) user!: User;
  @state() private told: Conversation | null = null;
  @state() private failure = '';
  @state() private sending = false;
  private readonly fresh = new Set<string>(); // new when this reader came, and marked as such while they stay
  private draftId = newId(); // of the message being written: sent twice, it is one
  private end: () => void = () => undefined;

  @query('textarea') private field!: HTMLTextAreaElement | null;

  static override styles = [
    shared,
    css`
      details,
      details * {
        box-sizing: border-box; /* what a disclosure shows does not inherit it */
      }
      details {
        border: 1px solid var(--line);
        border-radius: var(--radius);
        padding: 0.5rem 0.7rem;
      }
      summary {
        cursor: pointer;
        font-weight: 600;
      }
      ol {
        display: grid;
        gap: 0.5rem;
        margin: 0.6rem 0;
        padding: 0;
        list-style: none;
      }
      li {
        padding: 0.45rem 0.6rem;
        border-radius: var(--radius);
        background: var(--raised);
        border-left: 3px solid var(--line);
      }
      li.site {
        border-left-color: var(--accent);
      }
      li.reader {
        margin-left: 1.2rem;
      }
      li p {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      .head {
        display: flex;
        flex-wrap: wrap;
        gap: 0.2rem 0.6rem;
        font-size: 0.86rem;
        color: var(--quiet);
      }
      .head strong {
        color: var(--strong);
      }
      .came {
        margin-top: 0.25rem;
        font-size: 0.9rem;
        color: var(--good);
      }
      textarea {
        width: 100%;
        min-height: 3.6rem;
        margin: 0.25rem 0 0.4rem;
        resize: vertical;
      }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    this.end = listen('case', (data) => {
      if (Number(data['id']) === this.caseId) {
        void this.load();
      }
    });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.end();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('caseId')) {
      this.told = null;
      this.fresh.clear();
      void this.load();
    }
  }

  private get writes(): boolean {
    return WRITES.has(this.user.role);
  }

  private async load(): Promise<void> {
    const id = this.caseId;
    try {
      const told = await api.conversation(id);
      if (id !== this.caseId) {
        return;
      }
      this.told = told;
      this.failure = '';
      await this.markSeen(id, told);
    } catch (error) {
      // An administrator sees no messages; that is no failure.
      this.failure = error instanceof ApiError && error.status === 403 ? '' : String((error as Error).message);
    }
  }

  private async markSeen(id: number, told: Conversation): Promise<void> {
    const unseen = told.messages.filter((message) => message.sender === 'site' && !message.seen_at);
    const last = unseen.at(-1);
    if (!this.writes || !last) {
      return;
    }
    unseen.forEach((message) => this.fresh.add(message.id));
    this.requestUpdate();
    await api.seen(id, last.number);
  }

  private async send(event: Event): Promise<void> {
    event.preventDefault();
    const text = this.field?.value.trim() ?? '';
    if (!text || this.sending) {
      return;
    }
    this.sending = true;
    try {
      await api.say(this.caseId, text, this.draftId);
      this.draftId = newId();
      if (this.field) {
        this.field.value = '';
      }
      await this.load();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    } finally {
      this.sending = false;
    }
  }

  override render() {
    const { told } = this;
    if (!told) {
      return this.failure ? html`<p class="notice bad" role="alert">${t('messages.failed', { why: this.failure })}</p>` : nothing;
    }
    const count = told.messages.length;
    return html`<details ?open=${count > 0}>
      <summary>${t('messages.title', { site: told.site })}${count ? html` <span class="quiet numbers">${count}</span>` : nothing}</summary>
      ${count
        ? html`<div role="log" aria-label=${t('messages.title', { site: told.site })}>
            <ol>${told.messages.map((message) => this.message(message, told.site))}</ol>
          </div>`
        : html`<p class="quiet">${t('messages.none')}</p>`}
      ${this.failure ? html`<p class="notice bad" role="alert">${this.failure}</p>` : nothing}
      ${this.writes ? this.form() : nothing}
    </details>`;
  }

  private form() {
    return html`<form @submit=${this.send}>
      <label>${t('messages.write')}<textarea name="message" maxlength=${LONGEST} dir="auto"></textarea></label>
      <button ?disabled=${this.sending}>${t('messages.send')}</button>
    </form>`;
  }

  private message(message: Message, site: string) {
    const ours = message.sender === 'reader';
    const what = message.purpose === 'message' ? '' : word('purpose', message.purpose);
    return html`<li class=${message.sender}>
      <div class="head">
        <strong>${ours ? message.author : t('messages.site', { site })}</strong>
        ${what ? html`<span class="chip ${message.purpose === 'cannot' || message.purpose === 'request' ? 'urgent' : 'good'}">${what}${message.need ? `: ${word('need', message.need)}` : ''}</span>` : nothing}
        <span class="numbers">${new Date(message.at).toLocaleString(language(), { dateStyle: 'medium', timeStyle: 'short' })}</span>
        ${this.fresh.has(message.id) ? html`<span class="chip accent">${t('messages.new')}</span>` : nothing}
        ${this.standing(message)}
      </div>
      ${message.text ? html`<p dir="auto">${message.text}</p>` : nothing}
      ${this.came(message)}
    </li>`;
  }

  private standing(message: Message) {
    if (message.purpose === 'request') {
      return html`<span>${message.closed_at ? t('messages.closed', { at: clock(message.closed_at) }) : t('messages.open')}</span>`;
    }
    const seen = message.sender === 'reader' && message.seen_at;
    return seen ? html`<span>${t('messages.seen', { at: clock(message.seen_at ?? '') })}</span>` : nothing;
  }

  /** The images that came after a request, by series. */
  private came({ came_after: series }: Message) {
    if (!series?.length) {
      return nothing;
    }
    const images = series.reduce((sum, one) => sum + one.instances, 0);
    return html`<div class="came">${t('messages.came', { images })}
      ${series.map((one) => html`<div>${modalityChip([one.modality])} ${one.description || '—'} <span class="numbers">${one.instances}</span></div>`)}
    </div>`;
  }
}
