import { startDaemon } from '@dipus/daemon/start';
import { parseArguments } from './args.ts';
import { dws } from './dws.ts';

startDaemon({ name: 'dws', parse: parseArguments, serve: dws });
