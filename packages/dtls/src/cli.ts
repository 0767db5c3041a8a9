import { startDaemon } from '@dipus/daemon/start';
import { parseArguments } from './args.ts';
import { dtls } from './dtls.ts';

startDaemon({ name: 'dtls', parse: parseArguments, serve: dtls });
