// OHIF's configuration: our DICOMweb as the only source, our bridge as the only extension from outside.
import { hubBridge } from './hub-bridge.ts';

const dicomweb = `${window.location.origin}/dicomweb`;

window.config = {
  name: 'hub',
  routerBasename: '/ohif/',
  extensions: [hubBridge],
  modes: [],
  customizationService: {},
  showStudyList: false,
  maxNumberOfWebWorkers: 3,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  measurementTrackingMode: 'none',
  disableConfirmationPrompts: true,
  investigationalUseDialog: { option: 'never' },
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
  httpErrorHandler: (error: { status?: number }) => console.warn('a request of the viewer failed', error.status),
  showErrorDetails: 'production',
  defaultDataSourceName: 'hub',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'hub',
      configuration: {
        friendlyName: 'hub',
        name: 'hub',
        wadoUriRoot: `${dicomweb}/wado`,
        qidoRoot: dicomweb,
        wadoRoot: dicomweb,
        qidoSupportsIncludeField: true,
        supportsReject: false,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        singlepart: 'bulkdata,video',
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
      },
    },
  ],
};
