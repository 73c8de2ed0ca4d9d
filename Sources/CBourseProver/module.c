#include "bourse_prover.h"
