/* serve.h - the command `millrace serve`. */
#ifndef BROKER_SERVE_H
#define BROKER_SERVE_H

/* argv[0] is "serve". Returns the exit code: 0 stopped cleanly (or printed), 1 failed, 2 wrong
 * usage or configuration. */
int serve_main(int argc, char **argv);

#endif
