import { prepareAsks } from './ask.mjs';

export const prepare = (stage) => prepareAsks(stage, true);
