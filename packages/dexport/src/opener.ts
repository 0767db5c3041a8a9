// The process that opens sockets as one user, whom it is for good. It begins as root, and has no rights of root before it reads anything.
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { parseServicePath } from '@dipus/proto/name';
import type { State } from '@dipus/tree/probe';
import type { Tree } from '@dipus/tree/root';
import { trustOf } from '@dipus/tree/trust';
import { ownAccess, type Access } from './access.ts';
import { parseOrder, type OpenerTree, type Order, type Reply } from './orders.ts';
import { sendWith, takeHandle } from '@dipus/session/passed-socket';
import { dropTo } from '@dipus/tree/privileges';

/** Obeys the keeper until it lets go. Throws Failure where it cannot become the user. */
export function runOpener(user: string): void {
  dropTo(user);
  process.chdir('/');
  process.once('message', (told: OpenerTree) => {
    const { root, uid, uids } = told;
    const tree: Tree = { root, trust: trustOf(uid, new Set(uids)), passOver: () => {} };
    const access = ownAccess(tree);
    process.on('message', (message) => {
      const order = parseOrder(message);
      if (order && !('pair' in order)) void obey(order, { root, access });
    });
  });
}

interface Standing {
  readonly root: string;
  readonly access: Access;
}

async function obey(order: Order, standing: Standing): Promise<void> {
  const { id } = order;
  try {
    if ('look' in order) return reply({ id, states: await Promise.all(order.files.map((file) => look(file, order.look, standing))) });
    checkExported(order.file, standing);
    const socket = await standing.access.open(order.file, order.open);
    sendWith(process as Parameters<typeof sendWith>[0], { id, isOpen: true }, takeHandle(socket));
  } catch (error) {
    const code = codeOf(error);
    reply({ id, reason: reasonOf(error), ...(code !== undefined && { code }) });
  }
}

async function look(file: string, what: 'permission' | 'state', { root, access }: Standing): Promise<State> {
  checkExported(file, { root });
  if (what === 'state') return access.stateOf(file);
  return (await access.mayOpen(file)) ? 'alive' : 'forbidden';
}

/** Whatever the order says, nothing else is touched. */
function checkExported(file: string, { root }: Pick<Standing, 'root'>): void {
  const exported = `${root}/exported/`;
  if (file.startsWith(exported) && parseServicePath(file.slice(exported.length))) return;
  throw Object.assign(new Error('is not below exported/'), { code: 'EACCES' });
}

function reply(message: Reply): void {
  sendWith(process as Parameters<typeof sendWith>[0], message);
}
