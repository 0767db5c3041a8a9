// What the processes that an exporter consists of are told to be, as their first argument. No SERVICE can be written so.
export const exporterRole = '//exporter';
export const openerRole = '//opener';
export const holderRole = '//holder';
