// Reading a case: the viewer left, the question, earlier studies and the report right.
import { html, nothing, type PropertyValues } from 'lit';
import { customElement, property, query, state } from 'lit/decorators.js';
import type { ViewerMeasurement } from '../../ohif/messages.ts';
import { api, ApiError } from '../api.ts';
import { browserTimer, draftKey, hubFor } from '../draft/hub.ts';
import { DraftKeeper } from '../draft/keeper.ts';
import { listen } from '../events.ts';
import { clock, day, personName, span } from '../format.ts';
import { Localised, language, t, word } from '../i18n.ts';
import { images } from '../parts/arrival.ts';
import '../parts/complete-dialog.ts';
import type { CompleteDialog } from '../parts/complete-dialog.ts';
import '../parts/conflict-dialog.ts';
import '../parts/conversation.ts';
import '../parts/custody-dialog.ts';
import type { CustodyDialog } from '../parts/custody-dialog.ts';
import type { ConflictDialog } from '../parts/conflict-dialog.ts';
import '../parts/editor.ts';
import { modalityChip } from '../parts/modality.ts';
import { sexAndAge } from '../parts/patient.ts';
import '../parts/prior-dialog.ts';
import type { PriorReportDialog } from '../parts/prior-dialog.ts';
import { priorityChip } from '../parts/priority.ts';
import '../parts/report-view.ts';
import '../parts/return-dialog.ts';
import type { ReturnDialog } from '../parts/return-dialog.ts';
import '../parts/sign-dialog.ts';
import type { Sign, SignDialog } from '../parts/sign-dialog.ts';
import { changeWords } from '../parts/study-facts.ts';
import { shared } from '../parts/styles.ts';
import '../parts/viewer.ts';
import { comparing, reopened } from '../parts/viewer.ts';
import { go } from '../route.ts';
import type { Body, CaseDetail, Change, User } from '../types.ts';
import { readingStyles } from './reading-styles.ts';

const COMPLETES = new Set(['lead', 'admin']);
const RENEW_MS = 4 * 60_000; // keeps the lease while the reader is here

@customElement('tr-reading')
export class Reading extends Localised {
  @property({ type: Number }) caseId = 0;
  @property({ attribute: false }) user!: User;
  @state() private detail: CaseDetail | null = null;
  @state() private refusal = '';
  @state() private viewer = '';
  @state() private measured: ViewerMeasurement[] = [];
  @state() private version = 0;
  @state() private news: Change[] = []; // came while the case was open
  @state() private looked = 0; // images the viewer was opened with
  private known = 0; // changes at the beginning, and those the reader has acknowledged
  private keeper: DraftKeeper | null = null;
  private ends: (() => void)[] = [];

  @query('tr-sign.report') private signing!: SignDialog;
  @query('tr-sign.addendum') private adding!: SignDialog;
  @query('tr-complete') private completing!: CompleteDialog;
  @query('tr-return') private returning!: ReturnDialog;
  @query('tr-conflict') private conflict!: ConflictDialog;
  @query('tr-custody') private custody!: CustodyDialog;
  @query('tr-prior-report') private priorReport!: PriorReportDialog;

  static override styles = [shared, readingStyles];

  override connectedCallback(): void {
    super.connectedCallback();
    const renewal = window.setInterval(() => void this.renew(), RENEW_MS);
    const guard = (event: BeforeUnloadEvent): void => {
      if (this.keeper && !this.keeper.settled) {
        event.preventDefault();
      }
    };
    const onKey = (event: KeyboardEvent): void => this.key(event);
    const refresh = (data: Record<string, unknown>): void => this.happened(data);
    window.addEventListener('beforeunload', guard);
    window.addEventListener('keydown', onKey);
    this.ends = [
      listen('case', refresh),
      listen('delivery', refresh),
      listen('worklist', () => this.arrived()),
      () => window.clearInterval(renewal),
      () => window.removeEventListener('beforeunload', guard),
      () => window.removeEventListener('keydown', onKey),
    ];
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.ends.forEach((end) => end());
    this.leave();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has('caseId')) {
      this.leave();
      void this.begin(this.caseId);
    }
  }

  private async begin(id: number): Promise<void> {
    this.detail = null;
    this.refusal = '';
    this.measured = [];
    this.news = [];
    this.known = -1;
    try {
      const { detail, mine } = await this.enter(id);
      if (id !== this.caseId || !this.isConnected) {
        return;
      }
      this.show(detail);
      if (mine && detail.reports.length === 0) {
        await this.takeUp(id, detail);
      }
    } catch (error) {
      this.refusal = error instanceof Error ? error.message : String(error);
    }
  }

  /** Open the case for reading; if someone else has it, or it is finished, look at it only. */
  private async enter(id: number): Promise<{ detail: CaseDetail; mine: boolean }> {
    try {
      return { detail: await api.open(id), mine: true };
    } catch (error) {
      if (!(error instanceof ApiError) || error.passing || error.status === 401) {
        throw error;
      }
      const detail = await api.case(id);
      this.refusal = detail.reports.length > 0 ? '' : error.message;
      return { detail, mine: false };
    }
  }

  private async takeUp(id: number, detail: CaseDetail): Promise<void> {
    const keeper = new DraftKeeper(
      draftKey(this.user.name, id),
      localStorage,
      hubFor(id),
      browserTimer,
      () => this.keeperChanged(keeper),
      language(),
    );
    const draft = await api.draft(id);
    if (id === this.caseId) {
      this.keeper = keeper;
      const question = draft.body.clinical_question || detail.clinical_question;
      keeper.begin({ ...draft, body: { ...draft.body, clinical_question: question } });
    }
  }

  private keeperChanged(keeper: DraftKeeper): void {
    if (this.keeper !== keeper) {
      return;
    }
    this.version += 1;
    if (keeper.status.kind === 'conflict') {
      void this.updateComplete.then(() => this.conflict.show());
    }
  }

  private show(detail: CaseDetail): void {
    const changes = detail.changes ?? [];
    this.known = this.known < 0 ? changes.length : this.known;
    this.news = changes.slice(0, Math.max(0, changes.length - this.known)); // the newest stand first
    this.detail = detail;
    this.looked = this.viewer ? this.looked : detail.instances;
    this.viewer ||= detail.viewer;
  }

  private leave(): void {
    const { keeper, detail } = this;
    this.keeper = null;
    this.viewer = '';
    if (keeper && detail) {
      keeper.stop();
      // What cannot be saved now stays in the browser's store and is sent at the next visit.
      void keeper.flush().then(() => api.release(detail.id)).catch(() => undefined);
    }
  }

  private async renew(): Promise<void> {
    if (this.keeper && document.visibilityState === 'visible') {
      await api.open(this.caseId, 'page').catch((error: unknown) => {
        this.refusal = error instanceof ApiError && !error.passing ? error.message : this.refusal;
      });
    }
  }

  private happened(data: Record<string, unknown>): void {
    const id = data['case'] ?? data['id'];
    if (Number(id) === this.caseId) {
      void api.case(this.caseId, 'page').then((detail) => this.show(detail)).catch(() => undefined);
    }
  }

  /** A study of which more comes is looked at again; the hub tells so every few seconds. */
  private arrived(): void {
    if (this.detail && !this.detail.complete) {
      this.happened({ id: this.caseId });
    }
  }

  private readonly takeAsComplete = async (reason: string): Promise<void> => {
    await api.complete(this.caseId, reason);
    this.show(await api.case(this.caseId));
  };

  private acknowledge(): void {
    this.known += this.news.length;
    this.news = [];
  }

  /** Escape leaves a field, then the case; Control+Enter signs. Neither while Chinese is being composed. */
  private key(event: KeyboardEvent): void {
    const [target] = event.composedPath();
    if (event.isComposing || event.composedPath().some((node) => node instanceof HTMLDialogElement)) {
      return;
    }
    if (event.key === 'Escape' && target instanceof HTMLElement && target.matches('textarea, input, select')) {
      target.blur();
    } else if (event.key === 'Escape') {
      go({ page: 'worklist' });
    } else if (event.key === 'Enter' && event.ctrlKey && this.keeper) {
      void this.askToSign();
    }
  }

  private async askToSign(): Promise<void> {
    await this.keeper?.flush();
    if (this.keeper?.settled) {
      await this.signing.show();
    }
  }

  private readonly sign: Sign = async (_body, passphrase) => {
    const keeper = this.keeper;
    if (!keeper) {
      throw new Error(t('sign.nodraft'));
    }
    return api.sign(this.caseId, keeper.revision, passphrase);
  };

  private readonly add: Sign = (body, passphrase) => api.addendum(this.caseId, body, passphrase);

  private async signed(): Promise<void> {
    this.keeper?.end();
    this.keeper = null;
    this.show(await api.case(this.caseId));
  }

  private readonly sendBack = async (reason: string, need: string): Promise<void> => {
    await this.keeper?.flush();
    await api.return(this.caseId, reason, need);
    this.keeper?.stop();
    this.keeper = null;
    go({ page: 'worklist' });
  };

  private warnings(detail: CaseDetail): string[] {
    const warnings = [];
    if (detail.hold) {
      warnings.push(t('warn.hold', { reason: detail.hold }));
    }
    if (detail.return_reason && detail.state === 'returned') {
      warnings.push(t('warn.returned', { reason: detail.return_reason }));
    }
    if (detail.late) {
      warnings.push(t('warn.late', { number: detail.late }));
    }
    if (!detail.complete) {
      const given = { images: images(detail) };
      warnings.push(detail.arrival === 'reopened' ? t('warn.reopened', given) : t('warn.incomplete', given));
    }
    if (detail.conflicts) {
      warnings.push(t('warn.conflicts', { number: detail.conflicts }));
    }
    return warnings;
  }

  override render() {
    const { detail } = this;
    if (!detail) {
      return html`<p class="notice ${this.refusal ? 'bad' : ''}" role="status">${this.refusal || t('loading')}</p>`;
    }
    return html`
      ${this.banner(detail)}
      <tr-viewer .address=${this.viewer}
        @measured=${(event: CustomEvent<ViewerMeasurement[]>) => (this.measured = event.detail)}></tr-viewer>
      <section class="side" aria-label=${t('report.report')}>
        ${this.refusal ? html`<p class="notice warn" role="alert">${this.refusal}</p>` : nothing}
        ${this.newsNotice()} ${this.behindNotice(detail)} ${this.warnings(detail).map((warning) => html`<p class="notice warn">${warning}</p>`)}
        ${!detail.complete && COMPLETES.has(this.user.role)
          ? html`<p><button type="button" @click=${() => void this.completing.show()}>${t('complete.title')}…</button></p>`
          : nothing}
        <tr-facts .detail=${detail}
          @compare=${(event: CustomEvent<string>) => (this.viewer = comparing(detail.viewer, event.detail))}
          @show-custody=${() => void this.custody.load(detail.id)}
          @read-prior=${(event: CustomEvent<string>) => void this.priorReport.load(event.detail)}></tr-facts>
        <tr-conversation .caseId=${detail.id} .user=${this.user}></tr-conversation>
        ${detail.reports.map((report) => html`<tr-report .report=${report}></tr-report>`)}
        ${this.keeper
          ? html`<tr-editor .keeper=${this.keeper} .version=${this.version} .measured=${this.measured}></tr-editor>`
          : nothing}
      </section>
      ${this.foot(detail)} ${this.dialogs(detail)}
    `;
  }

  private newsNotice() {
    return this.news.length
      ? html`<div class="notice bad news" role="alert">
          <p>${t('changes.news')}</p>
          ${this.news.map((one) => html`<p>${changeWords(one)}</p>`)}
          <button type="button" @click=${() => this.acknowledge()}>${t('changes.seen')}</button>
        </div>`
      : nothing;
  }

  /** The viewer knows the images that were there when it was opened; only the reader may give up its state. */
  private behindNotice(detail: CaseDetail) {
    const { instances: have } = detail;
    return have > this.looked && detail.reports.length === 0
      ? html`<div class="notice behind">
          <p>${t('viewer.behind', { shown: this.looked, have })}</p>
          <button type="button" @click=${() => this.openAgain(have)}>${t('viewer.again')}</button>
        </div>`
      : nothing;
  }

  private openAgain(have: number): void {
    this.looked = have;
    this.viewer = reopened(this.viewer, have);
  }

  private banner(detail: CaseDetail) {
    const left = detail.deadline ? Date.parse(detail.deadline) - Date.now() : null;
    return html`<header>
      <a class="back" href="#/" aria-label=${t('back')}>←</a>
      ${priorityChip(detail.priority)}
      <h1>${personName(detail.patient.name, language())}</h1>
      <span class="numbers">${[sexAndAge(detail), detail.patient.id, detail.patient.birth_date ? day(detail.patient.birth_date) : ''].filter(Boolean).join(' · ')}</span>
      <span class="study">${modalityChip(detail.modalities)} ${detail.description}</span>
      <span class="quiet numbers">${[detail.site, day(detail.study_date), detail.accession].filter(Boolean).join(' · ')}</span>
      <span class="end numbers">
        ${detail.lease && detail.lease.by !== this.user.name && detail.lease.by !== this.user.display_name
          ? html`<span class="chip urgent">${t('lease', { by: detail.lease.by, until: clock(detail.lease.until) })}</span>`
          : nothing}
        ${left !== null && !detail.report
          ? html`<span class="chip ${left < 0 ? 'stat' : ''}">${left < 0 ? t('deadline.over', { span: span(left, language()) }) : t('deadline.in', { span: span(left, language()) })}</span>`
          : nothing}
        <span class="chip ${detail.report ? 'good' : ''}">${word('state', detail.state)}</span>
      </span>
    </header>`;
  }

  private foot(detail: CaseDetail) {
    if (detail.reports.length > 0) {
      return html`<footer>
        <button type="button" @click=${() => void this.adding.show()}>${t('addendum.title')}</button>
        <button type="button" class="main" @click=${() => go({ page: 'worklist' })}>${t('back')}</button>
      </footer>`;
    }
    return html`<footer>
      <button type="button" ?disabled=${!this.keeper} @click=${() => void this.returning.show()}>${t('return.title')}</button>
      <button type="button" class="main" title="Ctrl+Enter" ?disabled=${!this.keeper}
        @click=${() => void this.askToSign()}>${t('sign.title')}…</button>
    </footer>`;
  }

  private dialogs(detail: CaseDetail) {
    const { keeper } = this;
    const [first] = detail.reports;
    return html`
      ${keeper ? this.writingDialogs(detail, keeper) : nothing}
      ${first
        ? html`<tr-sign class="addendum" addendum .body=${first.body} .who=${this.user.display_name}
            .sign=${this.add} @signed=${this.signed}></tr-sign>`
        : nothing}
      <tr-return .send=${this.sendBack}></tr-return>
      <tr-complete .send=${this.takeAsComplete}></tr-complete>
      <tr-prior-report></tr-prior-report>
      <tr-custody></tr-custody>
    `;
  }

  private writingDialogs(detail: CaseDetail, keeper: DraftKeeper) {
    const theirs = keeper.status.kind === 'conflict' ? keeper.status.theirs : null;
    return html`
      <tr-sign class="report" .body=${keeper.body} .who=${this.user.display_name}
        .warnings=${this.warnings(detail)} .sign=${this.sign} @signed=${this.signed}></tr-sign>
      <tr-conflict .mine=${keeper.body} .theirs=${theirs}
        @decided=${(event: CustomEvent<Body>) => keeper.resolve(event.detail)}></tr-conflict>
    `;
  }
}
