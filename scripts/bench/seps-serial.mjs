import { prepareConnect } from './seps-connect.mjs';

export const prepare = (stage) => prepareConnect(stage, true);
