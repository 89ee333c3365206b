/* Holds a pod's namespaces: sleeps, reaps orphans, ends on TERM and INT. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number) { (void)number; _exit(0); }
static void reap(int number) { (void)number; while (waitpid(-1, NULL, WNOHANG) > 0); }

int main(void) {
  struct sigaction leave = {.sa_handler = end}, child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};
  sigaction(SIGTERM, &leave, NULL);
  sigaction(SIGINT, &leave, NULL);
  sigaction(SIGCHLD, &child, NULL);
  for (;;) pause();
}
