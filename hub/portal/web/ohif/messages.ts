// What the viewer tells the page around it, by postMessage within one origin.

/** One measurement as the viewer stores it; the report takes its values from here, never from the screen. */
export interface ViewerMeasurement {
  uid: string;
  tool: string;
  label: string;
  values: string[];
  seriesUid: string;
  instanceUid: string;
  frame: number | null;
}

export type ViewerMessage =
  | { from: 'viewer'; kind: 'ready' }
  | { from: 'viewer'; kind: 'measurements'; items: ViewerMeasurement[] };
