import { startDaemon } from '@dipus/daemon/start';
import { parseArguments } from './args.ts';
import { dudp } from './dudp.ts';

startDaemon({ name: 'dudp', parse: parseArguments, serve: dudp });
