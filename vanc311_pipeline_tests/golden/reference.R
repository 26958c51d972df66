# Reference values of the estimators, by R's own: Rscript reference.R REQUESTS.csv > reference.csv
# REQUESTS.csv has a row for each request: issue, outcome, opened, closed (days since 1970-01-01; NA = still open), as_of.
# Printed: data, quantity, at, value; a first row with the versions. Where R gives no value (NA), nothing is printed.
suppressPackageStartupMessages(library(survival))

put <- function(data, quantity, at, value) {
  known <- !is.na(value)
  cat(sprintf("%s,%s,%s,%.15g\n", data, quantity, at[known], value[known]), sep = "")
}
curve <- function(data, fit, days, shift = 0) {
  read <- summary(fit, times = days + shift, extend = TRUE)
  put(data, "open_share", days, read$surv)
  put(data, "low", days, read$lower)
  put(data, "high", days, read$upper)
}
restricted <- function(data, fit, days) {
  for (tau in days) {
    table <- summary(fit, rmean = tau)$table
    put(data, "mean_within", tau, table[["rmean"]])
    put(data, "mean_error", tau, table[["se(rmean)"]])
  }
}

cat("data,quantity,at,value\n")
cat(sprintf("R %s.%s,survival %s,,\n", R.version$major, R.version$minor, packageVersion("survival")))

put("lung", "day", seq_along(lung$time), lung$time)
put("lung", "closed", seq_along(lung$time), lung$status - 1)
lungs <- survfit(Surv(time, status == 2) ~ 1, lung, conf.type = "log-log")
curve("lung", lungs, sort(unique(lung$time)))
restricted("lung", lungs, c(180, 365))
quantiles <- quantile(lungs, c(0.5, 0.75, 0.9))
put("lung", "quantile", c(0.5, 0.75, 0.9), quantiles$quantile)

requests <- read.csv(commandArgs(trailingOnly = TRUE)[1])
days_read <- c(0:14, 21, 30, 45, 60, 90, 120)
largest <- names(sort(table(requests$issue), decreasing = TRUE))[1:4]
for (issue in largest) {
  some <- requests[requests$issue == issue, ]
  event <- !is.na(some$closed) & some$closed <= some$as_of
  days <- ifelse(event, some$closed, some$as_of) - some$opened
  fit <- survfit(Surv(days, event) ~ 1, conf.type = "log-log")
  curve(issue, fit, days_read)
  restricted(issue, fit, c(30, 90))

  last <- some$as_of - 7
  first <- last - 90
  seen <- some$opened <= last & some$opened + days >= first
  entry <- pmax(first - some$opened, 0)[seen]
  exit <- (pmin(some$opened + days, last) - some$opened)[seen]
  closed <- (event & some$opened + days <= last)[seen]
  curve(paste(issue, "now"), survfit(Surv(entry, exit + 1, closed) ~ 1, conf.type = "log-log"), days_read, 1)

  # The first state of a multi-state fit is the open requests; a day is added because it knows no event on day 0.
  kinds <- factor(ifelse(event, some$outcome, "open"), levels = c("open", sort(unique(some$outcome[event]))))
  ways <- survfit(Surv(days + 1, kinds) ~ 1, conf.type = "log-log")
  read <- summary(ways, times = days_read + 1, extend = TRUE)
  for (state in 2:ncol(read$pstate)) {
    way <- paste(issue, ways$states[state], sep = "|")
    put(way, "closed_share", days_read, read$pstate[, state])
    put(way, "closed_low", days_read, read$lower[, state])
    put(way, "closed_high", days_read, read$upper[, state])
  }
}

counts <- c(0, 1, 2, 5, 29, 30, 100, 1234, 98765)
limits <- sapply(counts, function(count) poisson.test(count)$conf.int)
put("poisson", "low", counts, limits[1, ])
put("poisson", "high", counts, limits[2, ])
tails <- function(count, mean) min(1, 2 * min(ppois(count, mean), ppois(count - 1, mean, lower.tail = FALSE)))
for (mean in c(0.5, 5, 29.5)) put(paste("poisson", mean), "p", counts[1:7], sapply(counts[1:7], tails, mean))
parts <- c(0, 1, 15, 29, 30)
wilson <- sapply(parts, function(part) suppressWarnings(prop.test(part, 30, correct = FALSE)$conf.int))
put("wilson of 30", "low", parts, wilson[1, ])
put("wilson of 30", "high", parts, wilson[2, ])
p <- c(0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216, 0.222, 0.251, 0.269, 0.275, 0.34)
put("p", "p", seq_along(p), p)
put("p", "q", seq_along(p), p.adjust(p, "BH"))
t <- c(0, 0.5, 2.2, 9)
put("t of 11", "p", t, 2 * pt(-t, 11))
put("t of 11", "quantile", 0.975, qt(0.975, 11))

# The standard error of a mean whose neighbours are alike: Newey and West's, with Bartlett's weights and the lags of 1994.
for (n in c(13, 60, 228)) {
  series <- lung$time[seq_len(n)]
  lags <- floor(4 * (n / 100)^(2 / 9))
  gamma <- acf(series, lag.max = lags, type = "covariance", plot = FALSE)$acf[, 1, 1]
  weights <- c(1, 2 * (1 - seq_len(lags) / (lags + 1)))
  put("hac", "error", n, sqrt(sum(weights * gamma) / n))
  put("hac", "t", n, qt(0.975, n - 1))
}
