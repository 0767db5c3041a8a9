import { startDaemon } from '@dipus/daemon/start';
import { parseArguments } from './args.ts';
import { dtcp } from './dtcp.ts';

startDaemon({ name: 'dtcp', parse: parseArguments, serve: dtcp });
