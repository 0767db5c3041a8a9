// What the processes of an exporter that root has started are told to be, as their first argument. No SERVICE can be written so.
export const exporterRole = '//exporter';
export const openerRole = '//opener';
