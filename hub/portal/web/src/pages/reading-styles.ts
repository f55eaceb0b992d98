// The reading view's grid: fixed columns, each pane scrolls by itself, so the viewer's frame keeps its size.
import { css } from 'lit';

export const readingStyles = css`
  :host {
    display: grid;
    grid-template: auto minmax(0, 1fr) auto / minmax(0, 1fr) 30rem;
    grid-template-areas: 'head head' 'view side' 'view foot';
    height: 100%;
    overflow: hidden;
  }
  :host > .notice {
    align-self: start;
    margin: 1rem;
  }
  header {
    grid-area: head;
    display: flex;
    align-items: center;
    gap: 0.8rem;
    min-width: 0;
    padding: 0.35rem 0.9rem;
    border-bottom: 1px solid var(--line);
    background: var(--surface);
    white-space: nowrap;
  }
  .back {
    padding: 0 0.4rem;
    font-size: 1.2rem;
    text-decoration: none;
  }
  h1 {
    font-size: 1.12rem;
    color: var(--strong);
    flex: none; /* whose images these are is the last thing to be cut */
    max-width: 60%;
    overflow: hidden;
    text-overflow: ellipsis;
  }
  .study {
    overflow: hidden;
    text-overflow: ellipsis;
  }
  .end {
    display: flex;
    gap: 0.4rem;
    margin-left: auto;
  }
  tr-viewer {
    grid-area: view;
  }
  .side {
    grid-area: side;
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    align-content: start;
    gap: 0.9rem;
    overflow: auto;
    padding: 0.9rem;
    border-left: 1px solid var(--line);
    background: var(--surface);
  }
  footer {
    grid-area: foot;
    display: flex;
    justify-content: flex-end;
    gap: 0.6rem;
    padding: 0.6rem 0.9rem;
    border-top: 1px solid var(--line);
    border-left: 1px solid var(--line);
    background: var(--raised);
  }
  /* No room side by side: the images above, the report below. */
  @media (max-width: 1000px) {
    :host {
      grid-template: auto minmax(18rem, 55%) minmax(0, 1fr) auto / minmax(0, 1fr);
      grid-template-areas: 'head' 'view' 'side' 'foot';
    }
    .side,
    footer {
      border-left: 0;
    }
  }
`;
