# Writes evidence_metafor.json to standard output: what metafor makes of a few data sets.
# Run: Rscript tests/reference/evidence_metafor.R > tests/reference/evidence_metafor.json
suppressMessages(library(metafor))

number <- function(x) if (is.null(x) || is.na(x)) "null" else sprintf("%.17g", x)
numbers <- function(x) paste0("[", paste(sapply(x, number), collapse = ", "), "]")

bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
sets <- list(
  bcg_log_risk_ratio = list(yi = as.numeric(bcg$yi), vi = as.numeric(bcg$vi)),
  madrs_24h_contrasts = list(
    # Murrough 2013, Daly 2018 (84 mg), ASPIRE I, ASPIRE II: printed difference; SE from the printed interval or printed.
    yi = c(-7.95, -10.7, -3.8, -3.9), vi = c((12.71 - 3.2) / (2 * qnorm(0.975)), 2.88, 1.39, 1.39)^2
  ),
  homogeneous = list(yi = c(0.30, 0.32, 0.29, 0.31, 0.33), vi = c(0.04, 0.05, 0.03, 0.06, 0.02)),
  two_studies = list(yi = c(log(0.49), log(0.30)), vi = c(0.0737, 0.0984)),
  three_scattered = list(yi = c(-2.0, 0.1, 1.7), vi = c(0.01, 0.5, 0.002)),
  far_from_zero = list(yi = c(1000.1, 1000.4, 999.2, 1001.3), vi = c(0.1, 0.2, 0.05, 0.3))
)

tight <- list(tol = 1e-14, threshold = 1e-14, maxiter = 100000)
one <- function(data, method) {
  fit <- if (method == "PM") rma(data$yi, data$vi, method = "PM", control = tight) else rma(data$yi, data$vi, method = method)
  prediction <- if (fit$k > 2) predict(fit, pi.type = "riley") else list(pi.lb = NA, pi.ub = NA)
  fields <- c(
    estimate = number(fit$beta[1]), se = number(fit$se), ci_lo = number(fit$ci.lb), ci_hi = number(fit$ci.ub),
    tau2 = number(fit$tau2), i2_pct = number(fit$I2), q = number(fit$QE), q_p = number(fit$QEp),
    prediction_lo = number(prediction$pi.lb), prediction_hi = number(prediction$pi.ub),
    weights = numbers(as.numeric(weights(fit)) / 100)
  )
  paste0("      \"", names(fields), "\": ", fields, collapse = ",\n")
}

cat("{\n")
cat(sprintf("  \"info\": {\n    \"tool\": \"metafor %s\",\n    \"language\": \"%s\",\n", packageVersion("metafor"), R.version.string))
cat("    \"script\": \"tests/reference/evidence_metafor.R\",\n    \"made_on\": \"", format(Sys.Date()), "\",\n    \"seed\": null,\n", sep = "")
cat("    \"licence\": \"dat.bcg is part of metafor (GPL); the other numbers are published figures or made up for the case\",\n")
cat("    \"note\": \"Paule-Mandel with tol and threshold 1e-14; prediction interval pi.type riley (t with k - 2 df); weights as fractions\"\n  },\n")
cat("  \"sets\": {\n")
blocks <- sapply(names(sets), function(name) {
  data <- sets[[name]]
  paste0(
    "  \"", name, "\": {\n    \"yi\": ", numbers(data$yi), ",\n    \"vi\": ", numbers(data$vi),
    ",\n    \"paule_mandel\": {\n", one(data, "PM"), "\n    },\n    \"dersimonian_laird\": {\n", one(data, "DL"), "\n    }\n  }"
  )
})
cat(paste(blocks, collapse = ",\n"), "\n  }\n}\n", sep = "")
