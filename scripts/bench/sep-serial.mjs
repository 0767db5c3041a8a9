import { prepareConnect } from './sep-connect.mjs';

export const prepare = (stage) => prepareConnect(stage, true);
