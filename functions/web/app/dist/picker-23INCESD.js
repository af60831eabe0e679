import{x as o}from"/app/chunk-FJ5H7RPT.js";import"/app/chunk-YVYP46WI.js";export{o as pickFolder};
