// The table of the path in use.
#ifndef BOURSE_SUMCHECK_PATH_H
#define BOURSE_SUMCHECK_PATH_H

#include "table.h"

const sumcheck_table *sumcheck_table_selected(void);

#endif
