// The one OHIF extension of ours: tells the portal around the viewer what has been measured.
import type { ViewerMeasurement, ViewerMessage } from './messages.ts';

interface StoredMeasurement {
  uid: string;
  toolName?: string;
  label?: string;
  displayText?: { primary?: string[]; secondary?: string[] } | string[];
  referenceSeriesUID?: string;
  SOPInstanceUID?: string;
  frameNumber?: number;
}

interface MeasurementService {
  EVENTS: Record<string, string>;
  subscribe(event: string, callback: () => void): void;
  getMeasurements(): StoredMeasurement[];
}

interface Services {
  servicesManager: { services: { measurementService: MeasurementService } };
}

// Two viewports of one image: the one not drawn in can keep an old label until it is drawn again.
const REDRAW_AFTER_MS = 250;

const CHANGES = ['MEASUREMENT_ADDED', 'MEASUREMENT_UPDATED', 'MEASUREMENT_REMOVED', 'MEASUREMENTS_CLEARED'];

function tell(message: ViewerMessage): void {
  if (window.parent !== window) {
    window.parent.postMessage(message, window.location.origin);
  }
}

function values(text: StoredMeasurement['displayText']): string[] {
  return Array.isArray(text) ? text : [...(text?.primary ?? [])];
}

function toMessage(stored: StoredMeasurement): ViewerMeasurement {
  return {
    uid: stored.uid,
    tool: stored.toolName ?? '',
    label: stored.label ?? '',
    values: values(stored.displayText),
    seriesUid: stored.referenceSeriesUID ?? '',
    instanceUid: stored.SOPInstanceUID ?? '',
    frame: stored.frameNumber ?? null,
  };
}

function redraw(): void {
  window.cornerstone?.getRenderingEngines()?.forEach((engine) => engine.render());
}

export const hubBridge = {
  id: 'hub-bridge',
  preRegistration({ servicesManager }: Services): void {
    const { measurementService } = servicesManager.services;
    const announce = (): void =>
      tell({ from: 'viewer', kind: 'measurements', items: measurementService.getMeasurements().map(toMessage) });
    for (const name of CHANGES) {
      const event = measurementService.EVENTS[name];
      if (event) {
        measurementService.subscribe(event, announce);
      }
    }
    const added = measurementService.EVENTS['MEASUREMENT_ADDED'];
    if (added) {
      measurementService.subscribe(added, () => setTimeout(redraw, REDRAW_AFTER_MS));
    }
    tell({ from: 'viewer', kind: 'ready' });
  },
};
