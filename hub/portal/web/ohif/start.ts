// What OHIF's own page does in inline scripts, in a file: so our content security policy needs no exception.
window.PUBLIC_URL = '/ohif/';
window.browserImportFunction = (name: string) => import(/* @vite-ignore */ name);
console.time('scriptToView'); // OHIF ends this timer when the first image stands
