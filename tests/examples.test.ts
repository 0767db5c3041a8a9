// Every example of the pages is run as it is printed, and its result looked at. The hosts that the pages speak of are this one, in a
// network namespace of its own; programs that play, encode or log in are stand-ins.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { bundle, has, suite, withSandbox, type Sandbox } from './harness.ts';
import { whyNoHosts } from './hosts.ts';
import { examplesOf, type Example } from './pages.ts';
import { runOnHost } from './example-host.ts';

interface Case {
  /** What must be there before, as shell. */
  readonly before?: string;
  /** Its last command goes on until it is ended: this is waited for until it succeeds. */
  readonly until?: string;
  /** What is looked at afterwards, as shell. */
  readonly after?: string;
  /** Text of the example that means something else here. */
  readonly swap?: Readonly<Record<string, string>>;
  /** What the example and `after` print. */
  readonly gives: RegExp;
}

const lan = 'it asks a LAN, see tests/ddiscover.test.ts';
const etcd = 'it asks an etcd, see tests/registry.test.ts';
const sshd = 'it logs in at an sshd, see tests/ssh.test.ts';
const pairing = 'it pairs with an exporter, see tests/pairing.test.ts';
const encoder = "serve -x 'lame - -' lame/audio/x-wav/to/audio/mpeg";
const encode = `export DIPUS_HOST=encode; ${encoder}; background dexport --plain`;

const rundirs = 'export RUNDIR=$PWD/run IPC_RUNDIR=$PWD/run';
/** Makes the file that an example of ipc(5) prints. */
function fileOfIpc(name: string): string {
  const { prints } = examplesOf('man').find(({ page, commands }) => page === 'ipc.5' && commands[0] === `cat ${name}`)!;
  return `cat > ${name} << 'end of file'\n${prints.join('\n')}\nend of file\n`;
}

const portFor = (port: number, command: string): string =>
  `socat TCP-LISTEN:${port},reuseaddr,fork SYSTEM:'${command}' & until socat -u /dev/null TCP:127.0.0.1:${port}; do sleep 0.05; done`;

/** By page and first command. A text is the reason why it is not run here. */
const cases: Readonly<Record<string, Case | string>> = {
  'dcat.1: dcat lame foo.wav > foo.mp3': { before: "serve 'lame - -' lame", after: 'cat foo.mp3', gives: /^mp3 of wav foo$/ },
  'dcat.1: dcat gzip part1.txt part2.txt part3.txt > all.gz': {
    before: "serve 'gzip -c' gzip; for n in 1 2 3; do echo part $n > part$n.txt; done",
    after: 'gzip -dc all.gz',
    gives: /^part 1\npart 2\npart 3\n$/,
  },
  'dcat.1: dcat -w 60 lame foo.wav > foo.mp3': {
    before: "(sleep 0.5; exec dserve 'lame - -' lame) > /dev/null & ended=$!",
    after: 'cat foo.mp3; kill $ended',
    gives: /^mp3 of wav foo$/,
  },
  'dcat.1: dcat audio/x-wav/to/audio/mpeg foo.wav | dcat madplay.stereo': {
    before: `${encoder}; export DIPUS_HOST=stereo; serve 'madplay -' madplay/audio/mpeg/to/audio/out`,
    after: 'cat played',
    gives: /^mp3 of wav foo$/,
  },
  'dcat.1: dcat ssh://foobar/image/png/to/image/jpeg cat.png > cat.jpg': sshd,
  'dcat.1: dcat seps://encode/lame foo.wav > foo.mp3': pairing,
  'dcat.1: echo hello | dcat /run/foo.sock': {
    before: 'mount -t tmpfs none /run; foreign /run/foo.sock cat',
    gives: /^hello\n$/,
  },
  'dcat.1: IPC_NETWORK="lame tls://alice@encode:9000/lame" ./encode-all': 'it uses another host, see tests/routes.test.ts',
  'ddiscover.1: ddiscover': lan,
  'ddiscover.1: ddiscover -w | dimport -': lan,
  'ddiscover.1: dls "$(ddiscover | head -n 1)"': lan,
  'ddiscover.1: avahi-browse -rpt _dipus._tcp': lan,
  "dexport.1: dserve -x 'lame - -' lame/audio/x-wav/to/audio/mpeg &": pairing,
  'dexport.1: curl -k --pinnedpubkey "$(dkey encode | paste -sd\';\')" -T foo.wav \\':
    'it uses a key that is paired, see tests/seps-export.test.ts',
  'dexport.1: dexport --plain': {
    before: `export DIPUS_HOST=encode; ${encoder}`,
    until: 'dls sep://encode',
    after: 'dcat sep://encode/lame foo.wav',
    gives: /mp3 of wav foo$/,
  },
  'dexport.1: curl -f -T foo.wav http://encode:7370/lame > foo.mp3': { before: encode, after: 'cat foo.mp3', gives: /^mp3 of wav foo$/ },
  'dexport.1: dexport &': 'its tunnel is the affair of ssh(1)',
  'dimport.1: dimport seps://encode &': pairing,
  'dimport.1: dimport --at $XDG_RUNTIME_DIR/.s.PGSQL.5432=db/postgres \\': 'it is about a database, see tests/dimport.test.ts',
  'dimport.1: ddiscover -w | dimport -': lan,
  'dimport.1: dimport ssh://kig@stereo/audio &': sshd,
  "dls.1: dls '**/to/audio/mpeg'": { before: encoder, gives: /^exported\/audio\/x-wav\/to\/audio\/mpeg\/lame\.box\.\.\.0\n$/ },
  'dls.1: socat -t 86400 - UNIX-CONNECT:$(dls -1f lame)': {
    before: "serve 'cat > /dev/null; sleep 1; echo late' lame",
    gives: /^late\n$/,
  },
  'dls.1: dls -1 lame >/dev/null && echo yes': { before: "serve 'lame - -' lame", gives: /^yes\n$/ },
  'dls.1: dls -l ssh://kig@stereo': sshd,
  'dls.1: dls -w exported': {
    before: encoder,
    until: 'grep -q lame out',
    gives: /^\+ exported\/audio\/x-wav\/to\/audio\/mpeg\/lame\.box\.\.\.0\n$/,
  },
  'dls.1: dls --wait 60 lame >/dev/null && exec encode-all': {
    before: "(sleep 1; serve 'lame - -' lame) &",
    gives: /^encoding\n$/,
  },
  'dreap.1: dreap -n': {
    before: 'dead local/gone.box...0',
    after: 'dls -a gone',
    gives: /^.*local\/gone\.box\.\.\.0\nlocal\/gone\.box\.\.\.0 +\(dead\)\n$/,
  },
  'dreap.1: dreap kig': { before: 'dead kig/gone.box...0', after: 'dls -a', gives: /^.*kig\/gone\.box\.\.\.0\n$/ },
  "dserve.1: dserve 'madplay -' madplay/audio/mpeg/to/audio/out": {
    until: 'dls -1 madplay',
    after: 'echo song | dcat madplay; cat played',
    gives: /song\n$/,
  },
  "dserve.1: dserve -x -n 2 'lame - -' lame/audio/x-wav/to/audio/mpeg": {
    until: 'dls -1 lame',
    after: 'dcat lame foo.wav; dls -l lame',
    gives: /mp3 of wav foo.* [01]\/2 /s,
  },
  "dserve.1: dserve -g audio -m 660 'sox -t wav - -d' sox/audio": {
    until: 'dls -1 sox',
    after: 'stat -c "%a %G" $(dls -1f sox); dcat sox foo.wav; cat played',
    gives: /660 audio\nwav foo$/,
  },
  'dserve.1: mkfifo ready': { before: 'echo text > README.md', gives: /^TEXT\n$/ },
  'dserve.1: cat services': {
    before: "printf '%s\\n' 'echo cat' 'date date' '-x gzip/gz gzip -c' > services",
    until: 'grep -q ready out',
    after: 'echo hello | dcat echo; echo text | dcat exported/gz | gzip -d',
    gives: /ready\nhello\ntext\n$/,
  },
  'socketpipe.1: socketpipe -b -i { tar cf - / } -l { ssh host } -r { dd of=/dev/st0 obs=32k }': {
    swap: { 'cf - /': 'cf - foo.wav', '/dev/st0': 'st0' },
    after: 'tar xOf st0',
    gives: /wav foo$/,
  },
  'socketpipe.1: socketpipe -b -i { tar cf - / } -l { ssh host } -r { bzip2 -c } \\\n    -o { dd of=/dev/st0 obs=32k }': {
    swap: { 'cf - /': 'cf - foo.wav', '/dev/st0': 'st0' },
    after: 'bzip2 -dc st0 | tar xO',
    gives: /wav foo$/,
  },
  'socketpipe.1: socketpipe -p 7400-7410 -l { ssh host } -r { pg_dump shop } -o { xz } > shop.xz': {
    after: 'xz -dc shop.xz',
    gives: /^dump of shop\n$/,
  },
  ['socketpipe.1: socketpipe -b -i { cat in } -l { ssh one } \\\n' +
  '    -r { socketpipe -b -i { sort } -l { ssh two } -r { uniq -c } -o { cat } } \\\n    -o { less }']: {
    before: "printf '%s\\n' b a b > in",
    gives: /^ +1 a\n +2 b\n$/,
  },
  'dkey.1: dkey': { gives: /^sha256\/\/[\w+/]{43}=\n$/ },
  'dkey.1: dkey -l': { gives: /^sha256\/\/[\w+/]{43}= box\n$/ },
  'dkey.1: openssl x509 -noout -subject -in "$(dkey --cert)"': { gives: /^subject=CN ?= ?dipus\n$/ },
  'dinvite.1: dinvite laptop service=audio': pairing,
  'dinvite.1: djoin encode': pairing,
  'dinvite.1: dinvite -d laptop': pairing,
  'djoin.1: djoin encode': pairing,
  'djoin.1: djoin encode studio < code': pairing,
  'dipusd.1: dipusd &': { gives: /^ready\n$/ },
  'dipusd.1: dcat dipusd': { before: 'background dipusd', gives: /^TOOL +PID .*\ndreap +\d+ [^]*\ndserve +\d+ / },
  'dipusd.1: cat ~/.config/dipus/dipusd': 'it is a file, see tests/dipusd.test.ts',
  'dipusd.1: mkdir -p /etc/dipus': 'it wants a running systemd',
  'ipcd.1: ipcd --redirect authd nextversion-authd': {
    before: `${rundirs}; serve cat nextversion-authd`,
    until: 'grep -q network out',
    after: 'echo out authd | socat -t 30 - UNIX-CONNECT:$(dls -1f ipcd)',
    gives: /\nok .*\/local\/nextversion-authd\.box\.\.\.0\n$/,
  },
  "ipcd.1: ipcd --allow in authd --deny in '*' '*' --allow out pong": {
    before: rundirs,
    until: 'grep -q network out',
    after: 'echo in pong tcp:192.0.2.7:5 | socat -t 30 - UNIX-CONNECT:$(dls -1f ipcd)',
    gives: /\nno not allowed\n$/,
  },
  'ipcd.1: ipcd --rules rules --explain out authd tls:auth.example by kig': {
    before: "echo 'allow out * tls by root' > rules",
    swap: { 'by kig': 'by root' },
    gives: /^allow: allow out \* tls by root\n$/,
  },
  'ipcd.1: echo out authd | socat -t 5 - UNIX-CONNECT:$(dls -1f ipcd)': {
    before: `${rundirs}; serve cat authd; background ipcd`,
    swap: { '-t 5': '-t 30' },
    gives: /^ok .*\/local\/authd\.box\.\.\.0\n$/,
  },
  "dpipes.1: dpipes -n '@db cat /var/log/syslog | sort | uniq -c | sort -rn | head'": 'it uses other hosts, see tests/dpipes.test.ts',
  "dpipes.1: dpipes -e -n '@db pg_dump shop | gzip -9 |": 'it uses other hosts, see tests/dpipes.test.ts',
  'dpipes.1: echo \'{"a":1}\' | dpipes -F json \'jq -c ".from = .__dpipes[\\"dp.addr\\"]"\'': {
    before: 'background dpipesd',
    gives: /^\{"a":1,"from":"box"\}\n$/,
  },
  "dpipes.1: dpipes '@upper | @rev' < text": {
    before: "serve 'tr a-z A-Z' upper; serve rev rev; echo abc > text",
    gives: /^CBA\n$/,
  },
  "dpipes.1: dpipes -n --status 3 'yes | head -n 1' 3>ends": {
    before: 'background dpipesd',
    gives: /^y\n\["yes",(?:"PIPE"|141)\]\n\["head",0\]\n$/,
  },
  'dpipes.1: dpipesd': { swap: { dpipesd: 'background dpipesd' }, gives: / 2 b\n$/ },
  'dpipesd.1: dpipesd': { until: 'dls -1 dpipesd', gives: /\/local\/dpipesd\.box\.\.\.0\n$/ },
  "dpipesd.1: dpipesd -x --app 'lame args=any' --app 'lines command=wc'": {
    until: 'dls -1 lines',
    after: "printf 'a\\nb\\n' | dpipes 'lines'",
    gives: /\/dp\/lines\.box\.\.\.0\n +2 +2 +4\n$/,
  },
  'dipus-registry.5: dexport --seps -r etcd://etcd.example.com &': etcd,
  "dipus-registry.5: registry='etcds://kig@etcd.example.com?password-file=/home/kig/.etcd'": etcd,
  'dipus-registry.5: cat files.sh': 'it is a file, see tests/registry.test.ts',
  "dipus-registry.5: ssh nas 'mkdir -p /srv/dipus/dipus && echo seps://encode > /srv/dipus/dipus/encode'": sshd,
  'dipus-registry.5: cat zone': 'it asks a name server, see tests/registry.test.ts',
  'dipus-registry.5: etcdctl get --prefix /dipus/v1/': etcd,
  'dpipesd.conf.5: cat ~/.dpipesdrc': 'it is a file, see tests/dpipesd-conf.test.ts',
  'dpipesd.conf.5: dpipesd --check-config --max 4': {
    before: "unset DPIPES_CONFIG; export HOME=$PWD; printf '%s\\n' '# What' 'node studio' 'app sort args=any' 'max 8' > .dpipesdrc",
    gives: /^node studio\t# .*\/\.dpipesdrc:2\napp sort args=any\t# .*\/\.dpipesdrc:3\nmax 4\t# command line\n$/,
  },
  "dpipesd.1: dpipesd --plain -n 4 --app 'lame args=any' --app 'count command=\"wc -l\"'": {
    until: 'grep -q ^sep: out',
    after: "printf 'a\\nb\\n' | dpipes -N 127.0.0.1 count",
    gives: /\/dp\/count\.box\.\.\.0\nsep:\/\/0\.0\.0\.0:7371\nsep:\/\/\[::\]:7371\n2\n$/,
  },
  'dlink.1: dlink unix:///run/postgresql/.s.PGSQL.5432 db/postgres': {
    before: 'mount -t tmpfs none /run; mkdir /run/postgresql; foreign /run/postgresql/.s.PGSQL.5432 cat',
    until: 'dls -1 db',
    after: 'echo hello | dcat db',
    gives: /\/local\/postgres\/db\.box\.\.\.0\n[^]*hello\n$/,
  },
  'dlink.1: dlink tcp://printer:9100 printer': 'it wants a printer, see tests/dlink.test.ts',
  'dlink.1: dlink sep://studio/lame lame': 'it uses another host, see tests/dlink.test.ts',
  'dtcp.1: dtcp -l 127.0.0.1:1234 --to lame': {
    before: "serve 'lame - -' lame",
    until: 'grep -q ^tcp: out',
    after: 'nc -N 127.0.0.1 1234 < foo.wav',
    gives: /mp3 of wav foo$/,
  },
  'dtcp.1: dtcp -l :9000 --plain': {
    before: encoder,
    until: 'grep -q ^tcp: out',
    after: "printf 'lame\\n' | cat - foo.wav | nc -N 127.0.0.1 9000",
    gives: /okmp3 of wav foo$/,
  },
  "dtcp.1: printf 'lame\\n' | cat - song.wav | nc -N box 9000 | tail -c +3 >song.mp3": {
    before: `${encoder}; background dtcp -l :9000 --plain`,
    swap: { 'song.wav': 'foo.wav', 'box 9000': '127.0.0.1 9000' },
    after: 'cat song.mp3',
    gives: /^mp3 of wav foo$/,
  },
  'dtls.1: umask 077; echo "alice:$(openssl rand -hex 32)" >keys': { after: 'wc -c < keys; stat -c %a keys', gives: /^71\n600\n$/ },
  'dtls.1: dtls -l :9443 --keys keys': 'it wants a key, see tests/dtls.test.ts',
  'dtls.1: dtls --keys keys &': 'it uses another host, see tests/dtls.test.ts',
  'dtls.1: openssl s_client -quiet -tls1_3 -connect box:9443 \\': 'it uses another host, see tests/dtls.test.ts',
  'dudp.1: dudp -l 127.0.0.1:5514 --to log': {
    before: "serve 'cat >> messages' log",
    until: 'grep -q udp.box out',
    after: 'echo hello | socat -t 1 - UDP:127.0.0.1:5514; until grep hello messages; do sleep 0.1; done',
    gives: /hello\n$/,
  },
  'dudp.1: dudp -l :9000 --plain': {
    before: 'serve -x cat echo',
    until: 'grep -q udp.box out',
    after: '(printf echo; sleep 1; echo hello; sleep 1) | socat -t 10 - UDP:127.0.0.1:9000',
    gives: /^udp:[^]*okhello\n/,
  },
  'dws.1: dws -l 127.0.0.1:8080 --to upper --origin http://127.0.0.1:8000': {
    before: "serve 'tr a-z A-Z' upper",
    until: 'grep -q ws.box out',
    after: 'background dws; background dlink ws://127.0.0.1:8080 up; echo hello | dcat up',
    gives: /^ws:[^]*HELLO\n$/,
  },
  'dws.1: cat upper.html': 'it wants a browser, see tests/browser.test.ts',
  'dws.1: dws &': 'it uses another host, see tests/dws.test.ts',
  'ipcd.rules.5: # Everybody who has a key may use authd; nobody from elsewhere anything else.':
    'it is a file of rules, see tests/rules.test.ts',
  'ipc.5: cat echo.py': {
    before: `${fileOfIpc('echo.py')}${rundirs}; background ipcd`,
    until: 'grep -q echo.box out',
    after: `echo hello | python3 ${resolve('tests/libipc-client.py')} zig run pong 'pong echo://x'`,
    gives: /\nzig: 1 of 1\n$/,
  },
  'ipc.5: cat tor.py': {
    before: [
      `${fileOfIpc('tor.py')}background python3 ${resolve('tests/socks-server.py')} 9050`,
      portFor(80, 'read line; echo page of $line'),
    ].join('; '),
    swap: { 'example.onion': 'encode' },
    after: 'for uri in tor://encode:81 tor://encode tor://encode:80/x; do dcat $uri 2>&1 < /dev/null; done',
    gives: /page of GET \/ HTTP\/1\.0\s[^]*the proxy has answered 5\n[^]*that is not tor[^]*that is not tor/,
  },
  'ipc.5: cat tcp.sh': {
    before: `${fileOfIpc('tcp.sh')}${portFor(9100, 'cat')}`,
    swap: { printer: 'encode' },
    after: 'dcat -v tcp://encode:9101 2>&1 < /dev/null',
    gives: /\nhello\n[^]*: no connection\n/,
  },
  'ipc.5: cat ask.py': {
    before: [
      `${fileOfIpc('ask.py')}${rundirs}`,
      'serve -x cat pong/ipc; serve -x cat pong-c/ipc/c; background ipcd; background dtcp -l 127.0.0.1:9000',
    ].join('; '),
    swap: { 'auth.example': '127.0.0.1' },
    after: `echo x | python3 ask.py zig pong 'pong tcp://127.0.0.1:9000/nobody' 2>&1`,
    gives: /\nhello\nhello\nno: no such service\n$/,
  },
  'sep.5: curl http://encode:7370/': {
    before: encode,
    swap: { 'curl -N': 'timeout 2 curl -sN' },
    after: 'cat foo.mp3',
    gives: /^audio\/x-wav\/to\/audio\/mpeg\/lame\.encode\.\.\.0\n\{"event":"add",.*\n\{"event":"ready"\}\nmp3 of wav foo$/,
  },
  "sep.5: (printf 'GET /text/sort.encode...0 HTTP/1.1\\r\\n'": {
    before: 'export DIPUS_HOST=encode; serve -x sort sort/text; background dexport --plain',
    gives: /^HTTP\/1\.1 101 Switching Protocols\r\n[^]*\r\n\r\na\nb\n$/,
  },
  "sep.5: printf 'b\\na\\n' |": {
    before: 'export DIPUS_HOST=encode; serve -x sort sort/text; background dexport --plain',
    gives: /^a\r?\nb\r?\n[^]*Sep-Exit: code 0/,
  },
  'sep.5: cd /tmp/dipus/exported/text': {
    before: 'export DIPUS_HOST=encode; serve -x sort sort/text',
    gives: /^\{"since":\d+,"running":0,"waiting":0,"max":64,"tty":false,"pipe":1\}/,
  },
  "dipus.7: dserve 'gzip -c' gzip/text/to/gzip &": {
    before: 'seq 1000 > README.md',
    after: 'until ! dls -1 gzip; do sleep 0.1; done; echo over',
    gives: /local\/text\/to\/gzip\/gzip\.box\.\.\.0\nlocal\/text\/to\/gzip\/gzip\.box\.\.\.0\n[^]*over\n$/,
  },
  'dipus.7: mkdir -p /tmp/dipus/local/text': {
    before: 'printf "abc\\n" > README.md',
    swap: { 'EXEC:rev &': 'EXEC:rev & until [ -S $DIPUS_ROOT/local/text/rev.box...0 ]; do sleep 0.05; done' },
    gives: /^cba\ncba\n$/,
  },
};

const standIns: Readonly<Record<string, string>> = {
  lame: '[ "$*" = "- -" ] && printf "mp3 of " && exec cat',
  madplay: '[ "$*" = "-" ] && exec cat > played',
  sox: '[ "$*" = "-t wav - -d" ] && exec cat > played',
  'encode-all': 'echo encoding',
  pg_dump: 'echo "dump of $1"',
  less: 'exec cat',
  // Who is root says so, where that is not said.
  dexport: `case "$(id -u) $*" in *--user*) ;; "0 "*) set -- --user root "$@" ;; esac; exec ${bundle('dexport')} "$@"`,
  ssh: 'shift; export SSH_CONNECTION="127.0.0.1 1 127.0.0.1 22" SSH_CLIENT="127.0.0.1 1 22"; exec sh -c "$*"',
};

function nameOf({ page, commands }: Example): string {
  const first = commands[0]!;
  return `${page}: ${first.startsWith('socketpipe') ? first : first.split('\n')[0]}`;
}

function scriptOf({ commands }: Example, { before = '', until, after = '', swap = {} }: Case): string {
  const lines = commands.map((command, at) => {
    const text = Object.entries(swap).reduce(
      (line, [from, to]) => line.replaceAll(from, to),
      command.replaceAll('/tmp/dipus', '$DIPUS_ROOT'),
    );
    const isLast = at === commands.length - 1;
    // One that has ended is waited for no more.
    if (isLast && until !== undefined)
      return `${text} > out & last=$!\nuntil ${until} > /dev/null || ! kill -0 $last; do sleep 0.05; done; cat out`;
    return text.endsWith(' &') && !text.includes('>')
      ? `${text.slice(0, -2)} > out.${at} & until [ -s out.${at} ]; do sleep 0.05; done; cat out.${at}`
      : text;
  });
  return [before, '# The example:', ...lines, '# What came of it:', after].join('\n');
}

async function runCase(sandbox: Sandbox, example: Example, how: Case): Promise<void> {
  writeFileSync(`${sandbox.dir}/foo.wav`, 'wav foo');
  const script = scriptOf(example, how);
  const { stdout, stderr } = await runOnHost(sandbox, script, standIns);
  assert.match(stdout.toString(), how.gives, `${script}\nstderr: ${stderr}`);
}

const test = suite('examples');
const examples = examplesOf('man');
const missing =
  whyNoHosts() ??
  ['socat', 'curl', 'nc', 'rev', 'bzip2', 'xz'].filter((program) => !has(program)).map((program) => `there is no ${program}`)[0];

test('every example of the pages is run, or it is said why not; and none is that is no more', () => {
  assert.equal(Object.keys(cases).sort(), examples.map(nameOf).sort());
});

for (const example of examples) {
  const name = nameOf(example);
  const how = cases[name];
  if (how === undefined || typeof how === 'string') continue;
  if (missing !== undefined) test.skip(name, missing);
  else test(name, () => withSandbox((sandbox) => runCase(sandbox, example, how)));
}

test.run();
