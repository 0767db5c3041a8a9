/** Every interval of the design, in milliseconds; a fixed object that scaleTiming changes once at the start of a program. */
export const timing = {
  /** How long the preface of a control connection, and the other half of a pair, may take. */
  prefaceMs: 10_000,
  /** How long a connection that is passed may be on its way to the service. */
  passMs: 2_000,
  /** How long the other half of a pair may take, where it may just have been refused. */
  lostHalfMs: 500,
  /** From the end of a program to EXIT, while its stderr is still open. */
  stderrDrainMs: 1_000,
  /** From TERM to KILL for a program whose client has gone. */
  killMs: 5_000,
  /** How long a killed process may take to be gone. */
  killedMs: 1_000,
  /** How long a client that was told to stop waits for its service to see that. */
  partingMs: 1_000,
  /** How long streams that are open at SIGTERM may still take. */
  graceMs: 30_000,
  /** How long a stage that is prepared waits for its connections, and with them for GO. */
  stageMs: 30_000,
  /** The first and the longest pause of whoever has found no places for all stages. */
  placeMs: 100,
  maxPlaceMs: 5_000,
  /** How long a program of the host may take to say who may run a stage, or which version it is. */
  authMs: 10_000,
  /** How long the token of a connection between two stages is good. */
  linkMs: 10_000,
  /** How long such a connection is held that comes before the LINK that names its token. */
  earlyLinkMs: 1_000,
  /** How long one stage may take to call another one, and when it calls its next address too. */
  callMs: 3_000,
  callGapMs: 250,
  /** How long after the end of a link the stage that writes to it may take to say that it has ended it. */
  cutMs: 5_000,
  /** From connecting to STARTED or WAITING, unless `-t` says otherwise. */
  startMs: 10_000,
  /** How long services that share their work may take to say how much they have. */
  loadMs: 200,
  /** How often, at most and at least, a service is looked for that is waited for. */
  appearMs: 50,
  maxAppearMs: 500,
  /** How often a busy service is tried again. */
  busyRetryMs: 100,
  /** Between two PINGs of a client; two that are not answered end the session. */
  pingMs: 15_000,
  /** How long one service of a file may take to claim its name before the next one begins. */
  claimMs: 500,
  /** How often a service looks whether its name is still its own. */
  keepMs: 1_000,
  /** How late the guard of programs may learn that one has ended. */
  guardMs: 50,
  /** How old a socket that refuses must be before it counts as dead: a foreign one is bound before it listens. */
  newbornMs: 2_000,
  /** How long one probe may take. */
  probeMs: 2_000,
  /** Where a full queue refuses too (BSD, macOS), the time over which three refusals count as death. */
  refusalsMs: 300,
  /** The slow rescan under the kernel's watches. */
  rescanMs: 30_000,
  /** From the end of a watching connection to the next look at its service; doubled each time. */
  deathRetryMs: 100,
  /** How long the head of a request or of an answer may take, connecting included. */
  headMs: 10_000,
  /** How long an exporter waits for the first bytes of a connection before it gives it to the parser of HTTP. */
  firstBytesMs: 100,
  /** The silence that ends the name of a service on a connection between hosts. */
  nameMs: 50,
  /** How long a session of datagrams may be silent, unless `--idle` says otherwise. */
  datagramIdleMs: 60_000,
  /** How long one must have been silent to make place for another one of its address. */
  datagramYieldMs: 1_000,
  /** How often the name of a service is sent in a datagram until it is answered, and how long a refusal stands. */
  datagramAskMs: 500,
  datagramAnswerMs: 3_000,
  /** From the connection of a client of seps to the judgement of its key. */
  judgementMs: 5_000,
  /** In which time so many failures of one address make it wait, and how long at first and at most. */
  failuresMs: 60_000,
  penaltyMs: 60_000,
  maxPenaltyMs: 600_000,
  /** How long the list of an exporter, or the beginning of a watch, may take. */
  listMs: 15_000,
  /** How long an SSH server may take for one answer. */
  answerMs: 30_000,
  /** How long one address of an SSH server may take to connect while there are others. */
  addressMs: 2_000,
  /** How long the way to an SSH server through a proxy may take: it may ask a person. */
  proxyMs: 120_000,
  /** How long a name of the LAN may take to resolve. */
  resolveMs: 2_000,
  /** How long the system alone is asked for one; then multicast is asked too. */
  systemNameMs: 200,
  /** How old a resolved name of the LAN may be before it is looked up again while it is used, and before it is used no more. */
  nameRefreshMs: 20_000,
  nameLifeMs: 120_000,
  /** How long an exporter waits for a client that takes nothing of its list. */
  unreadMs: 30_000,
  /** How often the exporter looks for heads that take too long. */
  headCheckMs: 1_000,
  /** How long one pairing may take, from its connection on. */
  pairMs: 10_000,
  /** How long an invitation is good, unless `-t` says otherwise. */
  inviteMs: 600_000,
  /** How long the exporter of a host may take to be there for whoever was invited: dipusd starts it anew then, to speak TLS. */
  exporterMs: 5_000,
  /** How often whoever waits for an invitation to be taken looks, where nothing tells of it. */
  invitedMs: 1_000,
  /** How often the names of hosts in rules are looked up. */
  rulesMs: 60_000,
  /** How often a socket that is our stdout is asked whether it still has its reader. */
  readerMs: 250,
  /** How long a connection is read away so that its peer sees the whole answer. */
  lingerMs: 10_000,
  /** How long a UNIX socket is kept without an end after an error: longer than a program may live when its client has gone (killMs). */
  heldMs: 10_000,
  /** How long the body of a refused request is read away. */
  refusedBodyMs: 2_000,
  /** Between the end of a session's input and its passing on: a peer that was killed has lost its control connection by then. */
  endMs: 50,
  /** From the end of a client's input to its being told to a program on a terminal again; half as long again each time. */
  eofMs: 100,
  /** From the end of a client's half of a connection to the first look whether it still waits for its answer; doubled up to pingMs. */
  knockMs: 250,
  /** Idle time after which TCP asks whether the peer is still there. */
  keepAliveMs: 20_000,
  /** How long one look at the whole tree of an ssh host may take. */
  lookMs: 60_000,
  /** How often the tree of an ssh host is looked at where nothing on it tells of changes. */
  pollMs: 5_000,
  /** The first and the longest pause before a lost host is tried again. */
  backoffMs: 500,
  maxBackoffMs: 30_000,
  /** The first and the longest pause of dipusd before a tool that has ended is started again; after how long the first one counts again. */
  restartMs: 200,
  maxRestartMs: 30_000,
  steadyMs: 10_000,
  /** After what time a tool that says nothing when it begins counts as ready. */
  standMs: 1_000,
  /** How long to wait for a service that changes all the time to settle. */
  settleMs: 250,
  /** How often foreign sockets are looked at for a death that made no event. */
  foreignMs: 1_000,
  /** How long the process that opens sockets as another user is kept for the next one. */
  idleOpenerMs: 60_000,
  /** How long the process that holds the connections of sessions is kept for the next one. */
  idleHolderMs: 60_000,
  /** How long a registry may take for one answer. */
  registryMs: 5_000,
  /** How long an entry of a registry stands when its owner has gone without a word. */
  leaseMs: 10_000,
  /** How long each source of nodes may take to tell whoever asks dpipesd for them, and how long its answer is told again. */
  nodesMs: 3_000,
  nodesKeptMs: 5_000,
  /** After which silence a watch of a registry is opened anew: its connection may be dead. */
  quietMs: 20_000,
  /** How long ddiscover looks, unless `-t` says otherwise. */
  discoverMs: 2_000,
  /** Between two probes for a name that is to be announced by mDNS; three stay unanswered where it is free. */
  mdnsProbeMs: 250,
  /** The least from one multicast of a host's records to the next. */
  mdnsRepeatMs: 1_000,
  /** From the first mDNS query to the second; it doubles each time. */
  mdnsQueryMs: 1_000,
  /** Where it stops doubling: a link that was cut and is whole again makes no other event. */
  mdnsMostQueryMs: 30_000,
  /** How often a found exporter is asked whether it is still there. */
  mdnsPresenceMs: 20_000,
  /** How long it has to answer before it is asked again; three such questions unanswered, and it is gone. */
  mdnsAnswerMs: 2_000,
  /** How often a program that uses mDNS looks at the network interfaces. */
  linksMs: 2_000,
};

/** Makes every interval `factor` times as long: DIPUS_TIME_SCALE, for tests. Called once, before anything reads timing. */
export function scaleTiming(factor: number): void {
  for (const name of Object.keys(timing) as (keyof typeof timing)[]) timing[name] *= factor;
}
